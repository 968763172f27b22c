; The runner of schedules, and the loops and branches in them, as LLVM IR.
;
; Layouts are documented in functrans/compiler/runtime.py. Locals that change are allocas, which LLVM
; turns into registers. A status of 0 is success; any other stops the schedule and is handed up.

declare void @llvm.memmove.p0.p0.i64(ptr, ptr, i64, i1)
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)
declare ptr @llvm.stacksave.p0()
declare void @llvm.stackrestore.p0(ptr)

; Bound to addresses when the code is loaded.
declare i32 @PyGILState_Ensure()
declare void @PyGILState_Release(i32)
declare i32 @PyErr_CheckSignals()
declare i32 @ft_clock(ptr, i32)                       ; timespec_get of C11

; --- the runner -----------------------------------------------------------------------------------

define i64 @ft_run(ptr %code, i64 %entries, ptr %slots) #0 {
start:
  br label %next

next:
  %i = phi i64 [ 0, %start ], [ %i.next, %called ]
  %entry = phi ptr [ %code, %start ], [ %entry.next, %called ]
  %more = icmp slt i64 %i, %entries
  br i1 %more, label %read, label %success

read:
  %function = load ptr, ptr %entry
  %ints.at = getelementptr i64, ptr %entry, i64 1
  %ints = load ptr, ptr %ints.at
  %extent.at = getelementptr i64, ptr %entry, i64 2
  %extent = load i64, ptr %extent.at
  %count.at = getelementptr i64, ptr %entry, i64 3
  %count = load i64, ptr %count.at
  %names = getelementptr i64, ptr %entry, i64 4
  %entry.next = getelementptr i64, ptr %names, i64 %count
  %stack = call ptr @llvm.stacksave.p0()
  %bufs = alloca ptr, i64 %count, align 16
  br label %gather

gather:
  %j = phi i64 [ 0, %read ], [ %j.next, %gather.one ]
  %rest = icmp slt i64 %j, %count
  br i1 %rest, label %gather.one, label %call

gather.one:
  %name.at = getelementptr i64, ptr %names, i64 %j
  %name = load i64, ptr %name.at
  %slot = getelementptr ptr, ptr %slots, i64 %name
  %pointer = load ptr, ptr %slot
  %buf = getelementptr ptr, ptr %bufs, i64 %j
  store ptr %pointer, ptr %buf
  %j.next = add nuw nsw i64 %j, 1
  br label %gather, !llvm.loop !0

call:
  %status = call i64 %function(ptr %bufs, ptr %ints, i64 0, i64 %extent)
  call void @llvm.stackrestore.p0(ptr %stack)
  %good = icmp eq i64 %status, 0
  br i1 %good, label %called, label %failure

called:
  %i.next = add nuw nsw i64 %i, 1
  br label %next

success:
  ret i64 0

failure:
  ret i64 %status
}

; --- carries: rows of (slot read, slot written, bytes, slot of the first, slot of the last value) ---

define internal void @move(ptr %slots, i64 %to, i64 %from, i64 %bytes) #0 {
  %to.slot = getelementptr ptr, ptr %slots, i64 %to
  %target = load ptr, ptr %to.slot
  %from.slot = getelementptr ptr, ptr %slots, i64 %from
  %source = load ptr, ptr %from.slot
  %there = icmp eq ptr %target, %source
  br i1 %there, label %end, label %copy

copy:
  call void @llvm.memmove.p0.p0.i64(ptr %target, ptr %source, i64 %bytes, i1 false)
  br label %end

end:
  ret void
}

; The first values into the slots read (inward), or the slots read into those of the last values.
define internal void @move_carries(ptr %slots, ptr %rows, i64 %count, i1 %inward) #0 {
start:
  br label %next

next:
  %k = phi i64 [ 0, %start ], [ %k.next, %one ]
  %more = icmp slt i64 %k, %count
  br i1 %more, label %one, label %end

one:
  %row = getelementptr [5 x i64], ptr %rows, i64 %k
  %read = load i64, ptr %row
  %bytes.at = getelementptr i64, ptr %row, i64 2
  %bytes = load i64, ptr %bytes.at
  %other.column = select i1 %inward, i64 3, i64 4
  %other.at = getelementptr i64, ptr %row, i64 %other.column
  %other = load i64, ptr %other.at
  %to = select i1 %inward, i64 %read, i64 %other
  %from = select i1 %inward, i64 %other, i64 %read
  call void @move(ptr %slots, i64 %to, i64 %from, i64 %bytes)
  %k.next = add nuw nsw i64 %k, 1
  br label %next

end:
  ret void
}

; Exchange the pointers in the slots read and written.
define internal void @exchange(ptr %slots, ptr %rows, i64 %count) #0 {
start:
  br label %next

next:
  %k = phi i64 [ 0, %start ], [ %k.next, %one ]
  %more = icmp slt i64 %k, %count
  br i1 %more, label %one, label %end

one:
  %row = getelementptr [5 x i64], ptr %rows, i64 %k
  %read = load i64, ptr %row
  %written.at = getelementptr i64, ptr %row, i64 1
  %written = load i64, ptr %written.at
  %a = getelementptr ptr, ptr %slots, i64 %read
  %b = getelementptr ptr, ptr %slots, i64 %written
  %old = load ptr, ptr %a
  %new = load ptr, ptr %b
  store ptr %new, ptr %a
  store ptr %old, ptr %b
  %k.next = add nuw nsw i64 %k, 1
  br label %next, !llvm.loop !0

end:
  ret void
}

; Undo the exchanges of a loop that ran so many steps, so that the frame serves again.
define internal void @restore(ptr %slots, ptr %rows, i64 %count, i64 %steps) #0 {
start:
  %odd = trunc i64 %steps to i1
  br i1 %odd, label %again, label %end

again:
  call void @exchange(ptr %slots, ptr %rows, i64 %count)
  br label %end

end:
  ret void
}

; --- Ctrl-C -----------------------------------------------------------------------------------------

; Status 2 if Python has a signal to raise an exception for. Looks at the clock every few steps and,
; when a 20th of a second has gone since the last look, asks Python. Not at the first look: a thread
; that computes in Python can keep the GIL from a short loop for 5 ms. The first look is after 4 steps,
; the next after 8, and so on up to every 64 (0.4 ns a step); where looks are a 20th of a second apart,
; steps are slow, and each is followed by one. The cell `last` holds the time of the last look and,
; in its low six bits, the mask of the steps without one, exclusive or 3.
define internal i64 @poll(i64 %step, ptr %last) #0 {
start:
  %time = alloca { i64, i64 }
  %cell = load i64, ptr %last
  %bits = and i64 %cell, 63
  %mask = xor i64 %bits, 3
  %low = and i64 %step, %mask
  %due = icmp eq i64 %low, %mask
  br i1 %due, label %look, label %fine, !prof !1

look:
  store { i64, i64 } zeroinitializer, ptr %time
  call i32 @ft_clock(ptr %time, i32 1)
  %seconds = load i64, ptr %time
  %nanos.at = getelementptr i64, ptr %time, i64 1
  %nanos = load i64, ptr %nanos.at
  %whole = mul i64 %seconds, 20
  %part = udiv i64 %nanos, 50000000
  %now = add i64 %whole, %part
  %then = lshr i64 %cell, 6
  %first = icmp eq i64 %then, 0
  %same = icmp eq i64 %now, %then
  %wait = or i1 %first, %same
  %doubled = shl i64 %mask, 1
  %wider = or i64 %doubled, 1
  %capped = and i64 %wider, 63
  %mask.next = select i1 %wait, i64 %capped, i64 0
  %bits.next = xor i64 %mask.next, 3
  %shifted = shl i64 %now, 6
  %cell.next = or i64 %shifted, %bits.next
  store i64 %cell.next, ptr %last
  br i1 %wait, label %fine, label %ask

ask:
  %stop = call i64 @worker_status()
  %is.worker = icmp sge i64 %stop, 0
  br i1 %is.worker, label %worker, label %own

worker:
  ret i64 %stop

own:
  %state = call i32 @PyGILState_Ensure()
  %signal = call i32 @PyErr_CheckSignals()
  call void @PyGILState_Release(i32 %state)
  %none = icmp eq i32 %signal, 0
  br i1 %none, label %fine, label %stopped

fine:
  ret i64 0

stopped:
  ret i64 2
}

; Threads that share a job never touch Python: they ask whether the job is to stop, see
; functrans/compiler/threads.ll. -1 where this is no such thread.
@worker.status = internal global ptr null

define void @ft_set_worker_status(ptr %function) #0 {
  store ptr %function, ptr @worker.status
  ret void
}

define internal i64 @worker_status() #0 {
start:
  %function = load ptr, ptr @worker.status
  %none = icmp eq ptr %function, null
  br i1 %none, label %no.worker, label %ask

ask:
  %status = call i64 %function()
  ret i64 %status

no.worker:
  ret i64 -1
}

; For loops inside of kernels, which look at their own counters; workers stop at once.
define i64 @ft_poll(ptr %last) #0 {
start:
  %stop = call i64 @worker_status()
  %is.worker = icmp sge i64 %stop, 0
  br i1 %is.worker, label %worker, label %own

worker:
  ret i64 %stop

own:
  %status = call i64 @poll(i64 63, ptr %last)
  ret i64 %status
}

; --- memory of kernels, whose size they know when they run ------------------------------------------

declare ptr @PyMem_RawMalloc(i64)
declare void @PyMem_RawFree(ptr)

define ptr @ft_take(i64 %bytes) #0 {
  %memory = call ptr @PyMem_RawMalloc(i64 %bytes)
  ret ptr %memory
}

define void @ft_give_back(ptr %memory) #0 {
  call void @PyMem_RawFree(ptr %memory)
  ret void
}

; --- scan -------------------------------------------------------------------------------------------

define i64 @ft_scan(ptr %bufs, ptr %ints, i64 %lo, i64 %hi) #0 {
start:
  %clock = alloca i64
  store i64 0, ptr %clock
  %slots = load ptr, ptr %bufs
  %length = load i64, ptr %ints
  %code.at = getelementptr i64, ptr %ints, i64 1
  %code = load ptr, ptr %code.at
  %entries.at = getelementptr i64, ptr %ints, i64 2
  %entries = load i64, ptr %entries.at
  %reverse.at = getelementptr i64, ptr %ints, i64 3
  %reverse.word = load i64, ptr %reverse.at
  %reverse = icmp ne i64 %reverse.word, 0
  %moving.at = getelementptr i64, ptr %ints, i64 4
  %moving = load i64, ptr %moving.at
  %carries.at = getelementptr i64, ptr %ints, i64 5
  %carries = load i64, ptr %carries.at
  %moving.rows = getelementptr i64, ptr %ints, i64 6
  %carry.rows = getelementptr [3 x i64], ptr %moving.rows, i64 %moving
  call void @move_carries(ptr %slots, ptr %carry.rows, i64 %carries, i1 true)
  %last = sub i64 %length, 1
  br label %next

next:
  %step = phi i64 [ 0, %start ], [ %step.next, %ran ]
  %more = icmp slt i64 %step, %length
  br i1 %more, label %place, label %success

place:                                                ; point the moving slots at this step's slices
  %from.end = sub i64 %last, %step
  %at = select i1 %reverse, i64 %from.end, i64 %step
  br label %move

move:
  %k = phi i64 [ 0, %place ], [ %k.next, %move.one ]
  %rest = icmp slt i64 %k, %moving
  br i1 %rest, label %move.one, label %body

move.one:
  %row = getelementptr [3 x i64], ptr %moving.rows, i64 %k
  %set = load i64, ptr %row
  %base.at = getelementptr i64, ptr %row, i64 1
  %base = load i64, ptr %base.at
  %stride.at = getelementptr i64, ptr %row, i64 2
  %stride = load i64, ptr %stride.at
  %base.slot = getelementptr ptr, ptr %slots, i64 %base
  %stacked = load ptr, ptr %base.slot
  %offset = mul i64 %at, %stride
  %slice = getelementptr i8, ptr %stacked, i64 %offset
  %set.slot = getelementptr ptr, ptr %slots, i64 %set
  store ptr %slice, ptr %set.slot
  %k.next = add nuw nsw i64 %k, 1
  br label %move, !llvm.loop !0

body:
  %status = call i64 @ft_run(ptr %code, i64 %entries, ptr %slots)
  %good = icmp eq i64 %status, 0
  br i1 %good, label %check, label %failure

check:
  %stop = call i64 @poll(i64 %step, ptr %clock)
  %going = icmp eq i64 %stop, 0
  br i1 %going, label %ran, label %failure

ran:
  call void @exchange(ptr %slots, ptr %carry.rows, i64 %carries)
  %step.next = add nuw nsw i64 %step, 1
  br label %next

success:
  call void @move_carries(ptr %slots, ptr %carry.rows, i64 %carries, i1 false)
  call void @restore(ptr %slots, ptr %carry.rows, i64 %carries, i64 %step)
  ret i64 0

failure:
  %result = phi i64 [ %status, %body ], [ %stop, %check ]
  call void @restore(ptr %slots, ptr %carry.rows, i64 %carries, i64 %step)
  ret i64 %result
}

; --- while ------------------------------------------------------------------------------------------

define i64 @ft_while(ptr %bufs, ptr %ints, i64 %lo, i64 %hi) #0 {
start:
  %clock = alloca i64
  store i64 0, ptr %clock
  %slots = load ptr, ptr %bufs
  %test.at = getelementptr i64, ptr %ints, i64 0
  %test = load ptr, ptr %test.at
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
  %rows = getelementptr i64, ptr %ints, i64 6
  call void @move_carries(ptr %slots, ptr %rows, i64 %carries, i1 true)
  br label %next

next:
  %step = phi i64 [ 0, %start ], [ %step.next, %ran ]
  %test.status = call i64 @ft_run(ptr %test, i64 %test.entries, ptr %slots)
  %tested = icmp eq i64 %test.status, 0
  br i1 %tested, label %decide, label %failure

decide:
  %answer.at = load ptr, ptr %flag.slot
  %answer = load i8, ptr %answer.at
  %go.on = icmp ne i8 %answer, 0
  br i1 %go.on, label %body, label %success

body:
  %status = call i64 @ft_run(ptr %code, i64 %entries, ptr %slots)
  %good = icmp eq i64 %status, 0
  br i1 %good, label %check, label %failure

check:
  %stop = call i64 @poll(i64 %step, ptr %clock)
  %going = icmp eq i64 %stop, 0
  br i1 %going, label %ran, label %failure

ran:
  call void @exchange(ptr %slots, ptr %rows, i64 %carries)
  %step.next = add i64 %step, 1
  br label %next

success:
  call void @move_carries(ptr %slots, ptr %rows, i64 %carries, i1 false)
  call void @restore(ptr %slots, ptr %rows, i64 %carries, i64 %step)
  ret i64 0

failure:
  %result = phi i64 [ %test.status, %next ], [ %status, %body ], [ %stop, %check ]
  call void @restore(ptr %slots, ptr %rows, i64 %carries, i64 %step)
  ret i64 %result
}

; --- cond -------------------------------------------------------------------------------------------

define i64 @ft_cond(ptr %bufs, ptr %ints, i64 %lo, i64 %hi) #0 {
  %slots = load ptr, ptr %bufs
  %name = load i64, ptr %ints
  %slot = getelementptr ptr, ptr %slots, i64 %name
  %index.at = load ptr, ptr %slot
  %index = load i32, ptr %index.at
  %wide = sext i32 %index to i64
  %status = call i64 @choose(ptr %slots, ptr %ints, i64 %wide)
  ret i64 %status
}

define i64 @ft_cond64(ptr %bufs, ptr %ints, i64 %lo, i64 %hi) #0 {
  %slots = load ptr, ptr %bufs
  %name = load i64, ptr %ints
  %slot = getelementptr ptr, ptr %slots, i64 %name
  %index.at = load ptr, ptr %slot
  %index = load i64, ptr %index.at
  %status = call i64 @choose(ptr %slots, ptr %ints, i64 %index)
  ret i64 %status
}

declare i64 @llvm.smax.i64(i64, i64)
declare i64 @llvm.smin.i64(i64, i64)

define internal i64 @choose(ptr %slots, ptr %ints, i64 %index) #0 {
  %count.at = getelementptr i64, ptr %ints, i64 1
  %count = load i64, ptr %count.at
  %greatest = sub i64 %count, 1
  %low = call i64 @llvm.smax.i64(i64 %index, i64 0)
  %chosen = call i64 @llvm.smin.i64(i64 %low, i64 %greatest)
  %rows = getelementptr i64, ptr %ints, i64 2
  %row = getelementptr [2 x i64], ptr %rows, i64 %chosen
  %code = load ptr, ptr %row
  %entries.at = getelementptr i64, ptr %row, i64 1
  %entries = load i64, ptr %entries.at
  %status = call i64 @ft_run(ptr %code, i64 %entries, ptr %slots)
  ret i64 %status
}

; --- each: blocks that need nothing of each other, which threads can share -------------------------

define i64 @ft_each(ptr %bufs, ptr %ints, i64 %lo, i64 %hi) #0 {
start:
  %slots = load ptr, ptr %bufs
  br label %next

next:
  %k = phi i64 [ %lo, %start ], [ %k.next, %ran ]
  %more = icmp slt i64 %k, %hi
  br i1 %more, label %run, label %success

run:
  %row = getelementptr [2 x i64], ptr %ints, i64 %k
  %code = load ptr, ptr %row
  %entries.at = getelementptr i64, ptr %row, i64 1
  %entries = load i64, ptr %entries.at
  %status = call i64 @ft_run(ptr %code, i64 %entries, ptr %slots)
  %good = icmp eq i64 %status, 0
  br i1 %good, label %ran, label %failure

ran:
  %k.next = add i64 %k, 1
  br label %next

success:
  ret i64 0

failure:
  ret i64 %status
}

; --- memory -----------------------------------------------------------------------------------------

define i64 @ft_within(ptr %bufs, ptr %ints, i64 %lo, i64 %hi) #0 {
  %slots = load ptr, ptr %bufs
  %name = load i64, ptr %ints
  %source.name.at = getelementptr i64, ptr %ints, i64 1
  %source.name = load i64, ptr %source.name.at
  %bytes.at = getelementptr i64, ptr %ints, i64 2
  %bytes = load i64, ptr %bytes.at
  %source.at = getelementptr ptr, ptr %slots, i64 %source.name
  %source = load ptr, ptr %source.at
  %within = getelementptr i8, ptr %source, i64 %bytes
  %slot = getelementptr ptr, ptr %slots, i64 %name
  store ptr %within, ptr %slot
  ret i64 0
}

define i64 @ft_copy(ptr %bufs, ptr %ints, i64 %lo, i64 %hi) #0 {
  %source = load ptr, ptr %bufs
  %target.at = getelementptr ptr, ptr %bufs, i64 1
  %target = load ptr, ptr %target.at
  %bytes = load i64, ptr %ints
  call void @llvm.memmove.p0.p0.i64(ptr %target, ptr %source, i64 %bytes, i1 false)
  ret i64 0
}

define i64 @ft_fill0(ptr %bufs, ptr %ints, i64 %lo, i64 %hi) #0 {
  %target = load ptr, ptr %bufs
  %bytes = load i64, ptr %ints
  call void @llvm.memset.p0.i64(ptr %target, i8 0, i64 %bytes, i1 false)
  ret i64 0
}

attributes #0 = { nounwind }

!0 = distinct !{!0, !2, !3}                           ; a few words: neither vectorise nor unroll
!1 = !{!"branch_weights", i32 1, i32 63}
!2 = !{!"llvm.loop.vectorize.enable", i1 false}
!3 = !{!"llvm.loop.unroll.disable"}
