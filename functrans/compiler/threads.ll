; Threads that share the loops of large kernels. See functrans/compiler/threads.py.
;
; A job is claimed piece by piece from one word, so that a thread that comes late cannot mistake one
; job for another:  generation << 32 | pieces << 16 | pieces claimed.

@claims = internal global i64 0, align 64
@left = internal global i64 0, align 64                 ; pieces not yet done
@failed = internal global i64 0, align 8                ; status of a piece that failed
@busy = internal global i64 0, align 64                 ; one job at a time: others run alone
@workers = internal global i64 0, align 64
@sleeping = internal global i64 0, align 64
@job = internal global { ptr, ptr, ptr, i64 } zeroinitializer, align 64  ; kernel, bufs, ints, extent
@mutex = internal global [128 x i8] zeroinitializer, align 64
@wake = internal global [128 x i8] zeroinitializer, align 64
@started = internal global i64 0, align 64              ; workers that have noted who they are
@ids = internal global [MOST x i64] zeroinitializer, align 64

declare i32 @ft_pthread_create(ptr, ptr, ptr, ptr)
declare i32 @ft_pthread_mutex_init(ptr, ptr)
declare i32 @ft_pthread_mutex_lock(ptr)
declare i32 @ft_pthread_mutex_unlock(ptr)
declare i32 @ft_pthread_cond_init(ptr, ptr)
declare i32 @ft_pthread_cond_wait(ptr, ptr)
declare i32 @ft_pthread_cond_broadcast(ptr)
declare i32 @ft_sched_yield()
declare i64 @ft_pthread_self()
declare i64 @ft_poll(ptr)

; Where piece k of n begins: at a multiple of 64 if there are many iterations, so that no two threads
; write to one cache line.
define internal i64 @begin(i64 %extent, i64 %k, i64 %n) #0 {
  %product = mul i64 %extent, %k
  %at = udiv i64 %product, %n
  %many = shl i64 %n, 10
  %fine = icmp uge i64 %extent, %many
  %last = icmp eq i64 %k, %n
  %whole = and i64 %at, -64
  %not.last = xor i1 %last, true
  %round = and i1 %fine, %not.last
  %result = select i1 %round, i64 %whole, i64 %at
  ret i64 %result
}

; Do pieces of the job until all are claimed.
define internal void @work() #0 {
start:
  br label %claim

claim:
  %word = atomicrmw add ptr @claims, i64 1 seq_cst
  %k = and i64 %word, 65535
  %shifted = lshr i64 %word, 16
  %n = and i64 %shifted, 65535
  %mine = icmp ult i64 %k, %n
  br i1 %mine, label %run, label %end

run:
  %failed = load atomic i64, ptr @failed seq_cst, align 8
  %useless = icmp ne i64 %failed, 0
  br i1 %useless, label %done, label %call

call:
  %kernel = load ptr, ptr @job
  %bufs = load ptr, ptr getelementptr ({ ptr, ptr, ptr, i64 }, ptr @job, i64 0, i32 1)
  %ints = load ptr, ptr getelementptr ({ ptr, ptr, ptr, i64 }, ptr @job, i64 0, i32 2)
  %extent = load i64, ptr getelementptr ({ ptr, ptr, ptr, i64 }, ptr @job, i64 0, i32 3)
  %lo = call i64 @begin(i64 %extent, i64 %k, i64 %n)
  %after = add i64 %k, 1
  %hi = call i64 @begin(i64 %extent, i64 %after, i64 %n)
  %status = call i64 %kernel(ptr %bufs, ptr %ints, i64 %lo, i64 %hi)
  %good = icmp eq i64 %status, 0
  br i1 %good, label %done, label %bad

bad:
  store atomic i64 %status, ptr @failed seq_cst, align 8
  br label %done

done:
  atomicrmw sub ptr @left, i64 1 seq_cst
  br label %claim

end:
  ret void
}

; A worker: looks for a new job for some microseconds, then sleeps until there is one.
define internal ptr @worker(ptr %unused) #0 {
start:
  %place = atomicrmw add ptr @started, i64 1 seq_cst
  %id = call i64 @ft_pthread_self()
  %id.at = getelementptr i64, ptr @ids, i64 %place
  store atomic i64 %id, ptr %id.at seq_cst, align 8
  br label %rest

rest:
  %seen = phi i64 [ 0, %start ], [ %now, %job ], [ %later, %job.after.sleep ]
  br label %look

look:
  %spins = phi i64 [ 0, %rest ], [ %spins.next, %again ]
  %word = load atomic i64, ptr @claims seq_cst, align 8
  %now = lshr i64 %word, 32
  %new = icmp ne i64 %now, %seen
  br i1 %new, label %job, label %again

job:
  call void @work()
  br label %rest

again:
  call void PAUSE
  %spins.next = add i64 %spins, 1
  %tired = icmp ugt i64 %spins.next, 1000
  br i1 %tired, label %sleep, label %look

sleep:
  call i32 @ft_pthread_mutex_lock(ptr @mutex)
  atomicrmw add ptr @sleeping, i64 1 seq_cst
  br label %check

check:
  %word.asleep = load atomic i64, ptr @claims seq_cst, align 8
  %later = lshr i64 %word.asleep, 32
  %wait = icmp eq i64 %later, %seen
  br i1 %wait, label %doze, label %job.after.sleep

doze:
  call i32 @ft_pthread_cond_wait(ptr @wake, ptr @mutex)
  br label %check

job.after.sleep:
  atomicrmw sub ptr @sleeping, i64 1 seq_cst
  call i32 @ft_pthread_mutex_unlock(ptr @mutex)
  call void @work()
  br label %rest
}

; Whether a worker is to stop what it does: the status of the piece that failed, or 0. -1 for threads
; that are no workers. Kernels ask within long loops.
define i64 @ft_worker_status() #0 {
start:
  %id = call i64 @ft_pthread_self()
  %count = load atomic i64, ptr @started seq_cst, align 8
  br label %next

next:
  %k = phi i64 [ 0, %start ], [ %k.next, %other ]
  %more = icmp ult i64 %k, %count
  br i1 %more, label %compare, label %none

compare:
  %at = getelementptr i64, ptr @ids, i64 %k
  %known = load atomic i64, ptr %at seq_cst, align 8
  %same = icmp eq i64 %known, %id
  br i1 %same, label %worker, label %other

other:
  %k.next = add i64 %k, 1
  br label %next

worker:
  %status = load atomic i64, ptr @failed seq_cst, align 8
  ret i64 %status

none:
  ret i64 -1
}

; Kernel entry: the kernel whose address is ints[0], in ints[1] pieces, with the ints after these.
define i64 @ft_split(ptr %bufs, ptr %ints, i64 %lo, i64 %hi) #0 {
start:
  %clock = alloca i64
  store i64 0, ptr %clock
  %kernel = load ptr, ptr %ints
  %n.at = getelementptr i64, ptr %ints, i64 1
  %n = load i64, ptr %n.at
  %own = getelementptr i64, ptr %ints, i64 2
  %workers = load atomic i64, ptr @workers seq_cst, align 8
  %helped = icmp ne i64 %workers, 0
  br i1 %helped, label %try, label %alone

try:
  %pair = cmpxchg ptr @busy, i64 0, i64 1 seq_cst seq_cst
  %free = extractvalue { i64, i1 } %pair, 1
  br i1 %free, label %post, label %alone

alone:
  %alone.status = call i64 %kernel(ptr %bufs, ptr %own, i64 %lo, i64 %hi)
  ret i64 %alone.status

post:
  store ptr %kernel, ptr @job
  store ptr %bufs, ptr getelementptr ({ ptr, ptr, ptr, i64 }, ptr @job, i64 0, i32 1)
  store ptr %own, ptr getelementptr ({ ptr, ptr, ptr, i64 }, ptr @job, i64 0, i32 2)
  store i64 %hi, ptr getelementptr ({ ptr, ptr, ptr, i64 }, ptr @job, i64 0, i32 3)
  store atomic i64 0, ptr @failed seq_cst, align 8
  store atomic i64 %n, ptr @left seq_cst, align 8
  %before = load atomic i64, ptr @claims seq_cst, align 8
  %generation = lshr i64 %before, 32
  %next = add i64 %generation, 1
  %high = shl i64 %next, 32
  %middle = shl i64 %n, 16
  %word = or i64 %high, %middle
  store atomic i64 %word, ptr @claims seq_cst, align 8
  %asleep = load atomic i64, ptr @sleeping seq_cst, align 8
  %must.wake = icmp ne i64 %asleep, 0
  br i1 %must.wake, label %rouse, label %share

rouse:
  call i32 @ft_pthread_mutex_lock(ptr @mutex)
  call i32 @ft_pthread_cond_broadcast(ptr @wake)
  call i32 @ft_pthread_mutex_unlock(ptr @mutex)
  br label %share

share:
  call void @work()
  br label %wait

wait:
  %spins = phi i64 [ 0, %share ], [ %spins.next, %pause ], [ 0, %look.up ], [ 0, %ask ], [ 0, %stop ]
  %rest = load atomic i64, ptr @left seq_cst, align 8
  %finished = icmp eq i64 %rest, 0
  br i1 %finished, label %done, label %pause

pause:
  call void PAUSE
  %spins.next = add i64 %spins, 1
  %long = icmp ugt i64 %spins.next, 2000
  br i1 %long, label %yield, label %wait

yield:
  call i32 @ft_sched_yield()
  br label %look.up

look.up:                                              ; workers may take long: has Python a Ctrl-C?
  %already = load atomic i64, ptr @failed seq_cst, align 8
  %stopping = icmp ne i64 %already, 0
  br i1 %stopping, label %wait, label %ask

ask:
  %signal = call i64 @ft_poll(ptr %clock)
  %quiet = icmp eq i64 %signal, 0
  br i1 %quiet, label %wait, label %stop

stop:
  store atomic i64 %signal, ptr @failed seq_cst, align 8
  br label %wait

done:
  %status = load atomic i64, ptr @failed seq_cst, align 8
  store atomic i64 0, ptr @busy seq_cst, align 8
  ret i64 %status
}

; Start so many workers; the number that could be started.
define i64 @ft_start_workers(i64 %count) #0 {
start:
  %thread = alloca i64
  call i32 @ft_pthread_mutex_init(ptr @mutex, ptr null)
  call i32 @ft_pthread_cond_init(ptr @wake, ptr null)
  br label %next

next:
  %k = phi i64 [ 0, %start ], [ %k.next, %made ]
  %more = icmp ult i64 %k, %count
  br i1 %more, label %make, label %end

make:
  %error = call i32 @ft_pthread_create(ptr %thread, ptr null, ptr @worker, ptr null)
  %good = icmp eq i32 %error, 0
  br i1 %good, label %made, label %end

made:
  %k.next = add i64 %k, 1
  br label %next

end:
  store atomic i64 %k, ptr @workers seq_cst, align 8
  ret i64 %k
}

; In the child of a fork there are no workers, whatever they were doing in the parent.
define void @ft_forget_workers() #0 {
  store atomic i64 0, ptr @workers seq_cst, align 8
  store atomic i64 0, ptr @busy seq_cst, align 8
  store atomic i64 0, ptr @sleeping seq_cst, align 8
  store atomic i64 0, ptr @started seq_cst, align 8
  ret void
}
