; Memory of large results that is kept when an array dies and given to the next of the same size.
;
; Fresh memory from the system costs a page fault for every 4 kB, several times the arithmetic done in
; it. These are the functions of a NumPy memory handler (NEP 49), so an array owns its memory as ever.
; They are only called with the GIL held, which protects the table. A block starts 64 bytes before the
; data, which are aligned to 64: its address as the system gave it, and its size.

declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)
declare i64 @llvm.umin.i64(i64, i64)

%Header = type { ptr, i64 }

@held = internal global [64 x ptr] zeroinitializer    ; data pointers, the oldest first
@count = internal global i64 0
@total = internal global i64 0                        ; bytes held
@limit = internal global i64 536870912

define internal ptr @header(ptr %data) #0 {
  %header = getelementptr i8, ptr %data, i64 -64
  ret ptr %header
}

define internal i64 @size_of(ptr %data) #0 {
  %header = call ptr @header(ptr %data)
  %size.at = getelementptr %Header, ptr %header, i64 0, i32 1
  %size = load i64, ptr %size.at
  ret i64 %size
}

; Take the block at a place out of the table; the others keep their order.
define internal ptr @remove(i64 %place) #0 {
  %at = getelementptr ptr, ptr @held, i64 %place
  %data = load ptr, ptr %at
  %old = load i64, ptr @count
  %new = sub i64 %old, 1
  store i64 %new, ptr @count
  %size = call i64 @size_of(ptr %data)
  %sum = load i64, ptr @total
  %less = sub i64 %sum, %size
  store i64 %less, ptr @total
  %following = getelementptr ptr, ptr %at, i64 1
  %after = sub i64 %new, %place
  %bytes = mul i64 %after, 8
  call void @llvm.memmove.p0.p0.i64(ptr %at, ptr %following, i64 %bytes, i1 false)
  ret ptr %data
}

define internal void @release(ptr %data) #0 {
  %header = call ptr @header(ptr %data)
  %raw = load ptr, ptr %header
  call void @PyMem_RawFree(ptr %raw)
  ret void
}

define ptr @ft_pool_malloc(ptr %context, i64 %size) #0 {
start:
  %count = load i64, ptr @count
  br label %look

look:                                                 ; the youngest first: it may still be in cache
  %i = phi i64 [ %count, %start ], [ %place, %other ]
  %left = icmp sgt i64 %i, 0
  br i1 %left, label %compare, label %fresh

compare:
  %place = sub i64 %i, 1
  %at = getelementptr ptr, ptr @held, i64 %place
  %candidate = load ptr, ptr %at
  %has = call i64 @size_of(ptr %candidate)
  %same = icmp eq i64 %has, %size
  br i1 %same, label %reuse, label %other

other:
  br label %look, !llvm.loop !0

reuse:
  %known = call ptr @remove(i64 %place)
  ret ptr %known

fresh:
  %bytes = add i64 %size, 128
  %too.large = icmp ult i64 %bytes, %size
  br i1 %too.large, label %none, label %allocate

allocate:
  %raw = call ptr @PyMem_RawMalloc(i64 %bytes)
  %failed = icmp eq ptr %raw, null
  br i1 %failed, label %none, label %align

align:
  %address = ptrtoint ptr %raw to i64
  %past = add i64 %address, 127
  %aligned = and i64 %past, -64
  %data = inttoptr i64 %aligned to ptr
  %header = call ptr @header(ptr %data)
  store ptr %raw, ptr %header
  %size.at = getelementptr %Header, ptr %header, i64 0, i32 1
  store i64 %size, ptr %size.at
  ret ptr %data

none:
  ret ptr null
}

define void @ft_pool_free(ptr %context, ptr %data, i64 %given) #0 {
start:
  %nothing = icmp eq ptr %data, null
  br i1 %nothing, label %end, label %measure

measure:
  %size = call i64 @size_of(ptr %data)
  %limit = load i64, ptr @limit
  %hopeless = icmp ugt i64 %size, %limit
  br i1 %hopeless, label %drop, label %fit

drop:
  call void @release(ptr %data)
  ret void

fit:                                                  ; make room at the cost of the oldest
  %count = load i64, ptr @count
  %total = load i64, ptr @total
  %sum = add i64 %total, %size
  %heavy = icmp ugt i64 %sum, %limit
  %full = icmp eq i64 %count, 64
  %excess = or i1 %heavy, %full
  br i1 %excess, label %evict, label %keep

evict:
  %oldest = call ptr @remove(i64 0)
  call void @release(ptr %oldest)
  br label %fit

keep:
  %at = getelementptr ptr, ptr @held, i64 %count
  store ptr %data, ptr %at
  %more = add i64 %count, 1
  store i64 %more, ptr @count
  store i64 %sum, ptr @total
  ret void

end:
  ret void
}

define ptr @ft_pool_calloc(ptr %context, i64 %number, i64 %each) #0 {
start:
  %product = call { i64, i1 } @llvm.umul.with.overflow.i64(i64 %number, i64 %each)
  %size = extractvalue { i64, i1 } %product, 0
  %over = extractvalue { i64, i1 } %product, 1
  br i1 %over, label %none, label %allocate

allocate:
  %data = call ptr @ft_pool_malloc(ptr %context, i64 %size)
  %failed = icmp eq ptr %data, null
  br i1 %failed, label %none, label %clear

clear:
  call void @llvm.memset.p0.i64(ptr %data, i8 0, i64 %size, i1 false)
  ret ptr %data

none:
  ret ptr null
}

declare { i64, i1 } @llvm.umul.with.overflow.i64(i64, i64)

define ptr @ft_pool_realloc(ptr %context, ptr %old, i64 %size) #0 {
start:
  %new = call ptr @ft_pool_malloc(ptr %context, i64 %size)
  %failed = icmp eq ptr %new, null
  %first = icmp eq ptr %old, null
  %done = or i1 %failed, %first
  br i1 %done, label %end, label %copy

copy:
  %had = call i64 @size_of(ptr %old)
  %both = call i64 @llvm.umin.i64(i64 %had, i64 %size)
  call void @llvm.memcpy.p0.p0.i64(ptr %new, ptr %old, i64 %both, i1 false)
  call void @ft_pool_free(ptr %context, ptr %old, i64 %had)
  br label %end

end:
  ret ptr %new
}

; Set the most bytes held, giving back what is more (0: everything). Gives the number held before.
define i64 @ft_pool_limit(i64 %limit) #0 {
start:
  %before = load i64, ptr @total
  store i64 %limit, ptr @limit
  br label %fit

fit:
  %total = load i64, ptr @total
  %excess = icmp ugt i64 %total, %limit
  br i1 %excess, label %evict, label %end

evict:
  %oldest = call ptr @remove(i64 0)
  call void @release(ptr %oldest)
  br label %fit

end:
  ret i64 %before
}
