; Loops that write on a tape what their backward pass reads, and those that read it, as LLVM IR.
;
; One module with runtime.ll, whose functions it uses. Layouts are documented in
; functrans/compiler/runtime.py.

declare ptr @PyMem_RawRealloc(ptr, i64)
declare i64 @llvm.umax.i64(i64, i64)

; A tape is three slots: memory, its bytes, and how many rows a loop has written on it, or -1.
%Tape = type { ptr, i64, i64 }

; Whether there are so many bytes. Memory doubles, up to the limit.
define internal i1 @make_room(ptr %tape, i64 %bytes, i64 %limit) #0 {
start:
  %capacity.at = getelementptr %Tape, ptr %tape, i64 0, i32 1
  %capacity = load i64, ptr %capacity.at
  %enough = icmp ule i64 %bytes, %capacity
  br i1 %enough, label %yes, label %grow

grow:
  %allowed = icmp ule i64 %bytes, %limit
  br i1 %allowed, label %take, label %no

take:
  %twice = shl i64 %capacity, 1
  %more = call i64 @llvm.umax.i64(i64 %twice, i64 65536)
  %most = call i64 @llvm.umin.i64(i64 %more, i64 %limit)
  %wanted = call i64 @llvm.umax.i64(i64 %most, i64 %bytes)
  %old = load ptr, ptr %tape
  %new = call ptr @PyMem_RawRealloc(ptr %old, i64 %wanted)
  %none = icmp eq ptr %new, null
  br i1 %none, label %no, label %taken

taken:
  store ptr %new, ptr %tape
  store i64 %wanted, ptr %capacity.at
  br label %yes

yes:
  ret i1 true

no:
  ret i1 false
}

; Point the slots of what is written down at a row: pairs of (slot, offset in the row).
define internal void @place_row(ptr %slots, ptr %rows, i64 %count, ptr %base) #0 {
start:
  br label %next

next:
  %k = phi i64 [ 0, %start ], [ %k.next, %one ]
  %more = icmp slt i64 %k, %count
  br i1 %more, label %one, label %end

one:
  %row = getelementptr [2 x i64], ptr %rows, i64 %k
  %name = load i64, ptr %row
  %offset.at = getelementptr i64, ptr %row, i64 1
  %offset = load i64, ptr %offset.at
  %place = getelementptr i8, ptr %base, i64 %offset
  %slot = getelementptr ptr, ptr %slots, i64 %name
  store ptr %place, ptr %slot
  %k.next = add nuw nsw i64 %k, 1
  br label %next, !llvm.loop !0

end:
  ret void
}

define i64 @ft_recording_while(ptr %bufs, ptr %ints, i64 %lo, i64 %hi) #0 {
start:
  %clock = alloca i64
  store i64 0, ptr %clock
  %slots = load ptr, ptr %bufs
  %test = load ptr, ptr %ints
  %test.entries.at = getelementptr i64, ptr %ints, i64 1
  %test.entries = load i64, ptr %test.entries.at
  %flag.at = getelementptr i64, ptr %ints, i64 2
  %flag = load i64, ptr %flag.at
  %flag.slot = getelementptr ptr, ptr %slots, i64 %flag
  %code.at = getelementptr i64, ptr %ints, i64 3
  %code = load ptr, ptr %code.at
  %entries.at = getelementptr i64, ptr %ints, i64 4
  %entries = load i64, ptr %entries.at
  %carries.at = getelementptr i64, ptr %ints, i64 5
  %carries = load i64, ptr %carries.at
  %name.at = getelementptr i64, ptr %ints, i64 6
  %name = load i64, ptr %name.at
  %tape = getelementptr ptr, ptr %slots, i64 %name
  %row.bytes.at = getelementptr i64, ptr %ints, i64 7
  %row.bytes = load i64, ptr %row.bytes.at
  %written.at = getelementptr i64, ptr %ints, i64 8
  %written = load i64, ptr %written.at
  %limit.at = getelementptr i64, ptr %ints, i64 9
  %limit = load i64, ptr %limit.at
  %rows = getelementptr i64, ptr %ints, i64 10
  %written.rows = getelementptr [5 x i64], ptr %rows, i64 %carries
  %filled.at = getelementptr %Tape, ptr %tape, i64 0, i32 2
  store i64 -1, ptr %filled.at
  %begins = call i1 @make_room(ptr %tape, i64 %row.bytes, i64 %limit)
  br i1 %begins, label %begin, label %no.memory

begin:
  call void @move_carries(ptr %slots, ptr %rows, i64 %carries, i1 true)
  br label %next

next:                                                 ; a tape that is full is not written further
  %step = phi i64 [ 0, %begin ], [ %step.next, %ran ]
  %writing = phi i1 [ true, %begin ], [ %fits, %ran ]
  %test.status = call i64 @ft_run(ptr %test, i64 %test.entries, ptr %slots)
  %tested = icmp eq i64 %test.status, 0
  br i1 %tested, label %decide, label %failure

decide:
  %answer.at = load ptr, ptr %flag.slot
  %answer = load i8, ptr %answer.at
  %go.on = icmp ne i8 %answer, 0
  br i1 %go.on, label %body, label %success

body:
  %step.next = add nuw nsw i64 %step, 1
  br i1 %writing, label %grow, label %place

grow:
  %end = mul i64 %step.next, %row.bytes
  %room = call i1 @make_room(ptr %tape, i64 %end, i64 %limit)
  br label %place

place:
  %fits = phi i1 [ false, %body ], [ %room, %grow ]
  %number = select i1 %fits, i64 %step, i64 0
  %memory = load ptr, ptr %tape
  %offset = mul i64 %number, %row.bytes
  %row = getelementptr i8, ptr %memory, i64 %offset
  call void @place_row(ptr %slots, ptr %written.rows, i64 %written, ptr %row)
  %status = call i64 @ft_run(ptr %code, i64 %entries, ptr %slots)
  %good = icmp eq i64 %status, 0
  br i1 %good, label %check, label %failure

check:
  %stop = call i64 @poll(i64 %step, ptr %clock)
  %going = icmp eq i64 %stop, 0
  br i1 %going, label %ran, label %failure

ran:
  call void @exchange(ptr %slots, ptr %rows, i64 %carries)
  br label %next

success:
  %filled = select i1 %writing, i64 %step, i64 -1
  store i64 %filled, ptr %filled.at
  call void @move_carries(ptr %slots, ptr %rows, i64 %carries, i1 false)
  call void @restore(ptr %slots, ptr %rows, i64 %carries, i64 %step)
  ret i64 0

failure:
  %result = phi i64 [ %test.status, %next ], [ %status, %place ], [ %stop, %check ]
  call void @restore(ptr %slots, ptr %rows, i64 %carries, i64 %step)
  ret i64 %result

no.memory:
  ret i64 3
}

; Carries to memory or back (inward), the last column of their rows being places in it.
define internal void @copy_carries(ptr %slots, ptr %rows, i64 %count, ptr %memory, i1 %inward) #0 {
start:
  br label %next

next:
  %k = phi i64 [ 0, %start ], [ %k.next, %one ]
  %more = icmp slt i64 %k, %count
  br i1 %more, label %one, label %end

one:
  %row = getelementptr [5 x i64], ptr %rows, i64 %k
  %name = load i64, ptr %row
  %bytes.at = getelementptr i64, ptr %row, i64 2
  %bytes = load i64, ptr %bytes.at
  %offset.at = getelementptr i64, ptr %row, i64 4
  %offset = load i64, ptr %offset.at
  %place = getelementptr i8, ptr %memory, i64 %offset
  %slot = getelementptr ptr, ptr %slots, i64 %name
  %carry = load ptr, ptr %slot
  %to = select i1 %inward, ptr %carry, ptr %place
  %from = select i1 %inward, ptr %place, ptr %carry
  call void @llvm.memmove.p0.p0.i64(ptr %to, ptr %from, i64 %bytes, i1 false)
  %k.next = add nuw nsw i64 %k, 1
  br label %next

end:
  ret void
}

; A block, with its carry, and the tape that its steps write or, in reverse, read.
%Stepper = type { ptr, ptr, i64, ptr, i64, ptr, i64, ptr }
; slots, code, entries, carry rows, carries, rows of what is written, how many, clock

; Run so many steps on rows of the tape. `exchanged` counts exchanges of the carry's pointers.
define internal i64 @steps(ptr %stepper, ptr %base, i64 %stride, i64 %count, i1 %reverse, ptr %exchanged) #0 {
start:
  %slots = load ptr, ptr %stepper
  %code.at = getelementptr %Stepper, ptr %stepper, i64 0, i32 1
  %code = load ptr, ptr %code.at
  %entries.at = getelementptr %Stepper, ptr %stepper, i64 0, i32 2
  %entries = load i64, ptr %entries.at
  %rows.at = getelementptr %Stepper, ptr %stepper, i64 0, i32 3
  %rows = load ptr, ptr %rows.at
  %carries.at = getelementptr %Stepper, ptr %stepper, i64 0, i32 4
  %carries = load i64, ptr %carries.at
  %written.rows.at = getelementptr %Stepper, ptr %stepper, i64 0, i32 5
  %written.rows = load ptr, ptr %written.rows.at
  %written.at = getelementptr %Stepper, ptr %stepper, i64 0, i32 6
  %written = load i64, ptr %written.at
  %clock.at = getelementptr %Stepper, ptr %stepper, i64 0, i32 7
  %clock = load ptr, ptr %clock.at
  %last = sub i64 %count, 1
  br label %next

next:
  %step = phi i64 [ 0, %start ], [ %step.next, %ran ]
  %more = icmp slt i64 %step, %count
  br i1 %more, label %run, label %success

run:
  %from.end = sub i64 %last, %step
  %number = select i1 %reverse, i64 %from.end, i64 %step
  %offset = mul i64 %number, %stride
  %row = getelementptr i8, ptr %base, i64 %offset
  call void @place_row(ptr %slots, ptr %written.rows, i64 %written, ptr %row)
  %status = call i64 @ft_run(ptr %code, i64 %entries, ptr %slots)
  %good = icmp eq i64 %status, 0
  br i1 %good, label %check, label %failure

check:
  %stop = call i64 @poll(i64 %step, ptr %clock)
  %going = icmp eq i64 %stop, 0
  br i1 %going, label %ran, label %failure

ran:
  call void @exchange(ptr %slots, ptr %rows, i64 %carries)
  %before = load i64, ptr %exchanged
  %after = add i64 %before, 1
  store i64 %after, ptr %exchanged
  %step.next = add nuw nsw i64 %step, 1
  br label %next

success:
  ret i64 0

failure:
  %result = phi i64 [ %status, %run ], [ %stop, %check ]
  ret i64 %result
}

define i64 @ft_reverse(ptr %bufs, ptr %ints, i64 %lo, i64 %hi) #0 {
start:
  %clock = alloca i64
  store i64 0, ptr %clock
  %carry.exchanges = alloca i64
  store i64 0, ptr %carry.exchanges
  %state.exchanges = alloca i64
  store i64 0, ptr %state.exchanges
  %slots = load ptr, ptr %bufs
  %count.name = load i64, ptr %ints
  %count.slot = getelementptr ptr, ptr %slots, i64 %count.name
  %count.at = load ptr, ptr %count.slot
  %count = load i64, ptr %count.at
  %carries.at = getelementptr i64, ptr %ints, i64 5
  %carries = load i64, ptr %carries.at
  %states.at = getelementptr i64, ptr %ints, i64 6
  %states = load i64, ptr %states.at
  %name.at = getelementptr i64, ptr %ints, i64 8
  %name = load i64, ptr %name.at
  %tape = getelementptr ptr, ptr %slots, i64 %name
  %row.bytes.at = getelementptr i64, ptr %ints, i64 9
  %row.bytes = load i64, ptr %row.bytes.at
  %start.bytes.at = getelementptr i64, ptr %ints, i64 10
  %start.bytes = load i64, ptr %start.bytes.at
  %limit.at = getelementptr i64, ptr %ints, i64 11
  %limit = load i64, ptr %limit.at
  %carry.rows = getelementptr i64, ptr %ints, i64 12
  %state.rows = getelementptr [5 x i64], ptr %carry.rows, i64 %carries
  %forward = alloca %Stepper
  call void @set_stepper(ptr %forward, ptr %slots, ptr %ints, i64 1, ptr %carry.rows, i64 %carries, ptr %clock)
  %backward = alloca %Stepper
  call void @set_stepper(ptr %backward, ptr %slots, ptr %ints, i64 3, ptr %state.rows, i64 %states, ptr %clock)
  call void @move_carries(ptr %slots, ptr %state.rows, i64 %states, i1 true)
  %filled.at = getelementptr %Tape, ptr %tape, i64 0, i32 2
  %filled = load i64, ptr %filled.at
  %written = icmp eq i64 %filled, %count
  %none = icmp eq i64 %count, 0
  %whole = or i1 %written, %none
  br i1 %whole, label %read, label %again

read:
  %memory = load ptr, ptr %tape
  %read.status = call i64 @steps(ptr %backward, ptr %memory, i64 %row.bytes, i64 %count, i1 true, ptr %state.exchanges)
  br label %finish

again:                                                ; in segments that fit on the tape
  store i64 -1, ptr %filled.at
  %rows.fit = udiv i64 %limit, %row.bytes
  %some.fit = call i64 @llvm.umax.i64(i64 %rows.fit, i64 1)
  %size = call i64 @llvm.umin.i64(i64 %count, i64 %some.fit)
  %less = sub i64 %size, 1
  %raised = add i64 %count, %less
  %segments = udiv i64 %raised, %size
  %last = sub i64 %segments, 1
  %starts.bytes = mul i64 %segments, %start.bytes
  %rows.bytes = mul i64 %size, %row.bytes
  %bytes = add i64 %starts.bytes, %rows.bytes
  %room = call i1 @make_room(ptr %tape, i64 %bytes, i64 %bytes)
  br i1 %room, label %divide, label %no.memory

no.memory:
  call void @restore(ptr %slots, ptr %state.rows, i64 %states, i64 0)
  ret i64 3

divide:
  %starts = load ptr, ptr %tape
  %rows = getelementptr i8, ptr %starts, i64 %starts.bytes
  call void @move_carries(ptr %slots, ptr %carry.rows, i64 %carries, i1 true)
  br label %divide.next

divide.next:                                          ; the first carries of all segments
  %j = phi i64 [ 0, %divide ], [ %j.next, %divide.run ]
  %begin.offset = mul i64 %j, %start.bytes
  %begin = getelementptr i8, ptr %starts, i64 %begin.offset
  call void @copy_carries(ptr %slots, ptr %carry.rows, i64 %carries, ptr %begin, i1 false)
  %before.last = icmp slt i64 %j, %last
  br i1 %before.last, label %divide.run, label %segment

divide.run:
  %j.next = add nuw nsw i64 %j, 1
  %divide.status = call i64 @steps(ptr %forward, ptr %rows, i64 0, i64 %size, i1 false, ptr %carry.exchanges)
  %divided = icmp eq i64 %divide.status, 0
  br i1 %divided, label %divide.next, label %finish

segment:
  %s = phi i64 [ %last, %divide.next ], [ %s.next, %reversed ]
  %left = icmp sge i64 %s, 0
  br i1 %left, label %write, label %finish

write:
  %s.next = sub i64 %s, 1
  %s.offset = mul i64 %s, %start.bytes
  %s.start = getelementptr i8, ptr %starts, i64 %s.offset
  call void @copy_carries(ptr %slots, ptr %carry.rows, i64 %carries, ptr %s.start, i1 true)
  %s.first = mul i64 %s, %size
  %s.rest = sub i64 %count, %s.first
  %s.steps = call i64 @llvm.umin.i64(i64 %s.rest, i64 %size)
  %write.status = call i64 @steps(ptr %forward, ptr %rows, i64 %row.bytes, i64 %s.steps, i1 false, ptr %carry.exchanges)
  %wrote = icmp eq i64 %write.status, 0
  br i1 %wrote, label %reverse, label %finish

reverse:
  %reverse.status = call i64 @steps(ptr %backward, ptr %rows, i64 %row.bytes, i64 %s.steps, i1 true, ptr %state.exchanges)
  %turned = icmp eq i64 %reverse.status, 0
  br i1 %turned, label %reversed, label %finish

reversed:
  br label %segment

finish:
  %status = phi i64 [ %read.status, %read ], [ %divide.status, %divide.run ], [ 0, %segment ], [ %write.status, %write ], [ %reverse.status, %reverse ]
  %good = icmp eq i64 %status, 0
  br i1 %good, label %results, label %tidy

results:
  call void @move_carries(ptr %slots, ptr %state.rows, i64 %states, i1 false)
  br label %tidy

tidy:
  %carry.times = load i64, ptr %carry.exchanges
  call void @restore(ptr %slots, ptr %carry.rows, i64 %carries, i64 %carry.times)
  %state.times = load i64, ptr %state.exchanges
  call void @restore(ptr %slots, ptr %state.rows, i64 %states, i64 %state.times)
  ret i64 %status
}

define internal void @set_stepper(ptr %stepper, ptr %slots, ptr %ints, i64 %code.place, ptr %rows, i64 %carries, ptr %clock) #0 {
  %code.at = getelementptr i64, ptr %ints, i64 %code.place
  %code = load ptr, ptr %code.at
  %entries.at = getelementptr i64, ptr %code.at, i64 1
  %entries = load i64, ptr %entries.at
  %carry.count.at = getelementptr i64, ptr %ints, i64 5
  %carry.count = load i64, ptr %carry.count.at
  %state.count.at = getelementptr i64, ptr %ints, i64 6
  %state.count = load i64, ptr %state.count.at
  %both = add i64 %carry.count, %state.count
  %written.at = getelementptr i64, ptr %ints, i64 7
  %written = load i64, ptr %written.at
  %first.rows = getelementptr i64, ptr %ints, i64 12
  %written.rows = getelementptr [5 x i64], ptr %first.rows, i64 %both
  store ptr %slots, ptr %stepper
  %s1 = getelementptr %Stepper, ptr %stepper, i64 0, i32 1
  store ptr %code, ptr %s1
  %s2 = getelementptr %Stepper, ptr %stepper, i64 0, i32 2
  store i64 %entries, ptr %s2
  %s3 = getelementptr %Stepper, ptr %stepper, i64 0, i32 3
  store ptr %rows, ptr %s3
  %s4 = getelementptr %Stepper, ptr %stepper, i64 0, i32 4
  store i64 %carries, ptr %s4
  %s5 = getelementptr %Stepper, ptr %stepper, i64 0, i32 5
  store ptr %written.rows, ptr %s5
  %s6 = getelementptr %Stepper, ptr %stepper, i64 0, i32 6
  store i64 %written, ptr %s6
  %s7 = getelementptr %Stepper, ptr %stepper, i64 0, i32 7
  store ptr %clock, ptr %s7
  ret void
}
