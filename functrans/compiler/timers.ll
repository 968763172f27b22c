; Stopwatches around the entries of a profiled schedule: see functrans/compiler/stopwatches.py.

declare i32 @ft_clock(ptr, i32)

define internal i64 @now() #0 {
  %time = alloca { i64, i64 }
  store { i64, i64 } zeroinitializer, ptr %time
  call i32 @ft_clock(ptr %time, i32 1)
  %seconds = load i64, ptr %time
  %nanos.at = getelementptr i64, ptr %time, i64 1
  %nanos = load i64, ptr %nanos.at
  %whole = mul i64 %seconds, 1000000000
  %sum = add i64 %whole, %nanos
  ret i64 %sum
}

; ints: the address of (time of the last start, nanoseconds in all, how often)
define i64 @ft_start_timer(ptr %bufs, ptr %ints, i64 %lo, i64 %hi) #0 {
  %cell = load ptr, ptr %ints
  %t = call i64 @now()
  store i64 %t, ptr %cell
  ret i64 0
}

define i64 @ft_stop_timer(ptr %bufs, ptr %ints, i64 %lo, i64 %hi) #0 {
  %t = call i64 @now()
  %cell = load ptr, ptr %ints
  %start = load i64, ptr %cell
  %took = sub i64 %t, %start
  %total.at = getelementptr i64, ptr %cell, i64 1
  %total = load i64, ptr %total.at
  %total.next = add i64 %total, %took
  store i64 %total.next, ptr %total.at
  %count.at = getelementptr i64, ptr %cell, i64 2
  %count = load i64, ptr %count.at
  %count.next = add i64 %count, 1
  store i64 %count.next, ptr %count.at
  ret i64 0
}
attributes #0 = { nounwind }
