; The way from Python into a schedule: check a list of arguments, make the outputs, run.
;
; ft_dispatch is a METH_FASTCALL function; its self is a plan (an int64 array), its two arguments are
; the address of a frame's table of slots and the list of leaves. functrans/compiler/calls.py has the
; layout of the plan and checks, before this is used, that objects lie in memory as is assumed here.

declare ptr @PyLong_AsVoidPtr(ptr)
declare ptr @PyLong_FromLongLong(i64)
declare i64 @PyLong_AsLongLongAndOverflow(ptr, ptr)
declare ptr @PyList_New(i64)
declare void @Py_IncRef(ptr)
declare void @Py_DecRef(ptr)
declare ptr @PyEval_SaveThread()
declare void @PyEval_RestoreThread(ptr)
declare ptr @PyErr_Occurred()
declare i32 @PyErr_BadArgument()
declare ptr @PyDataMem_SetHandler(ptr)
declare ptr @PyArray_NewFromDescr(ptr, ptr, i32, ptr, ptr, ptr, i32, ptr)

%Object = type { i64, ptr }                           ; reference count, type
%Boxed = type { %Object, i64 }                        ; a scalar: its value
%List = type { %Object, i64, ptr }                    ; length, items
%Array = type { %Object, ptr, i32, ptr, ptr, ptr, ptr, i32 }
;                 data, ndim, dims, strides, base, descr, flags

%Plan = type { ptr, i64, i64, i64, ptr, ptr }
;         code, entries, inputs, outputs, type of arrays, type of lists
%Input = type { ptr, i64, i64, i64, ptr, ptr, i64 }
;          descr, ndim, slot, flags, boxed type, integer type, cell
%Output = type { ptr, i64, i64, i64, ptr }
;           descr, ndim, slot, donated input (from 1) or 0, memory handler or null

define ptr @ft_dispatch(ptr %self, ptr %args, i64 %nargs) #0 {
start:
  %overflow = alloca i32
  %plan.at = getelementptr %Array, ptr %self, i64 0, i32 1
  %plan = load ptr, ptr %plan.at
  %inputs.at = getelementptr %Plan, ptr %plan, i64 0, i32 2
  %inputs = load i64, ptr %inputs.at
  %array.type.at = getelementptr %Plan, ptr %plan, i64 0, i32 4
  %array.type = load ptr, ptr %array.type.at
  %list.type.at = getelementptr %Plan, ptr %plan, i64 0, i32 5
  %list.type = load ptr, ptr %list.type.at
  %two = icmp eq i64 %nargs, 2
  br i1 %two, label %arguments, label %misused

arguments:
  %table.object = load ptr, ptr %args
  %table = call ptr @PyLong_AsVoidPtr(ptr %table.object)
  %list.at = getelementptr ptr, ptr %args, i64 1
  %list = load ptr, ptr %list.at
  %list.is.at = getelementptr %Object, ptr %list, i64 0, i32 1
  %list.is = load ptr, ptr %list.is.at
  %is.list = icmp eq ptr %list.is, %list.type
  br i1 %is.list, label %length, label %misused

length:
  %length.at = getelementptr %List, ptr %list, i64 0, i32 1
  %given = load i64, ptr %length.at
  %items.at = getelementptr %List, ptr %list, i64 0, i32 2
  %items = load ptr, ptr %items.at
  %all = icmp eq i64 %given, %inputs
  br i1 %all, label %begin, label %misused

begin:
  %first = getelementptr %Plan, ptr %plan, i64 1
  br label %next

next:
  %i = phi i64 [ 0, %begin ], [ %i.next, %accept ]
  %row = phi ptr [ %first, %begin ], [ %row.next, %accept ]
  %more = icmp slt i64 %i, %inputs
  br i1 %more, label %check, label %outputs.begin

check:
  %object.at = getelementptr ptr, ptr %items, i64 %i
  %object = load ptr, ptr %object.at
  %ndim.at = getelementptr %Input, ptr %row, i64 0, i32 1
  %ndim = load i64, ptr %ndim.at
  %dims = getelementptr %Input, ptr %row, i64 1
  %row.next = getelementptr i64, ptr %dims, i64 %ndim
  %type.at = getelementptr %Object, ptr %object, i64 0, i32 1
  %type = load ptr, ptr %type.at
  %is.array = icmp eq ptr %type, %array.type
  br i1 %is.array, label %array, label %scalar

array:
  %descr = load ptr, ptr %row
  %has.descr.at = getelementptr %Array, ptr %object, i64 0, i32 6
  %has.descr = load ptr, ptr %has.descr.at
  %same.descr = icmp eq ptr %descr, %has.descr
  %has.ndim.at = getelementptr %Array, ptr %object, i64 0, i32 2
  %has.ndim.int = load i32, ptr %has.ndim.at
  %has.ndim = sext i32 %has.ndim.int to i64
  %same.ndim = icmp eq i64 %ndim, %has.ndim
  %flags.at = getelementptr %Input, ptr %row, i64 0, i32 3
  %flags = load i64, ptr %flags.at
  %has.flags.at = getelementptr %Array, ptr %object, i64 0, i32 7
  %has.flags.int = load i32, ptr %has.flags.at
  %has.flags = zext i32 %has.flags.int to i64
  %required = and i64 %has.flags, %flags
  %has.required = icmp eq i64 %required, %flags
  %same.kind = and i1 %same.descr, %same.ndim
  %good = and i1 %same.kind, %has.required
  br i1 %good, label %extents, label %refuse

extents:
  %has.dims.at = getelementptr %Array, ptr %object, i64 0, i32 3
  %has.dims = load ptr, ptr %has.dims.at
  %data.at = getelementptr %Array, ptr %object, i64 0, i32 1
  %data = load ptr, ptr %data.at
  br label %extent

extent:
  %axis = phi i64 [ 0, %extents ], [ %axis.next, %extent.one ]
  %rest = icmp slt i64 %axis, %ndim
  br i1 %rest, label %extent.one, label %accept

extent.one:
  %dim.at = getelementptr i64, ptr %dims, i64 %axis
  %dim = load i64, ptr %dim.at
  %has.dim.at = getelementptr i64, ptr %has.dims, i64 %axis
  %has.dim = load i64, ptr %has.dim.at
  %axis.next = add nuw nsw i64 %axis, 1
  %same.dim = icmp eq i64 %dim, %has.dim
  br i1 %same.dim, label %extent, label %refuse, !llvm.loop !0

scalar:
  %boxed.type.at = getelementptr %Input, ptr %row, i64 0, i32 4
  %boxed.type = load ptr, ptr %boxed.type.at
  %value = getelementptr %Boxed, ptr %object, i64 0, i32 1
  %is.boxed = icmp eq ptr %type, %boxed.type
  br i1 %is.boxed, label %accept, label %maybe.integer

maybe.integer:
  %integer.type.at = getelementptr %Input, ptr %row, i64 0, i32 5
  %integer.type = load ptr, ptr %integer.type.at
  %is.integer = icmp eq ptr %type, %integer.type
  br i1 %is.integer, label %integer, label %refuse

integer:
  %cell.at = getelementptr %Input, ptr %row, i64 0, i32 6
  %cell.index = load i64, ptr %cell.at
  %cell = getelementptr i64, ptr %table, i64 %cell.index
  %number = call i64 @PyLong_AsLongLongAndOverflow(ptr %object, ptr %overflow)
  store i64 %number, ptr %cell
  %over = load i32, ptr %overflow
  %fits = icmp eq i32 %over, 0
  br i1 %fits, label %accept, label %refuse

accept:
  %pointer = phi ptr [ %data, %extent ], [ %value, %scalar ], [ %cell, %integer ]
  %slot.at = getelementptr %Input, ptr %row, i64 0, i32 2
  %slot.index = load i64, ptr %slot.at
  %slot = getelementptr ptr, ptr %table, i64 %slot.index
  store ptr %pointer, ptr %slot
  %i.next = add nuw nsw i64 %i, 1
  br label %next

refuse:
  %place = add i64 %i, 1
  %place.object = call ptr @PyLong_FromLongLong(i64 %place)
  ret ptr %place.object

outputs.begin:
  %outputs.at = getelementptr %Plan, ptr %plan, i64 0, i32 3
  %outputs = load i64, ptr %outputs.at
  %results = call ptr @PyList_New(i64 %outputs)
  %has.results = icmp ne ptr %results, null
  br i1 %has.results, label %outputs.items, label %raise

outputs.items:
  %results.items.at = getelementptr %List, ptr %results, i64 0, i32 2
  %results.items = load ptr, ptr %results.items.at
  br label %outputs.next

outputs.next:
  %o = phi i64 [ 0, %outputs.items ], [ %o.next, %output.made ]
  %out.row = phi ptr [ %row, %outputs.items ], [ %out.row.next, %output.made ]
  %outputs.more = icmp slt i64 %o, %outputs
  br i1 %outputs.more, label %output, label %run

output:
  %out.ndim.at = getelementptr %Output, ptr %out.row, i64 0, i32 1
  %out.ndim = load i64, ptr %out.ndim.at
  %out.dims = getelementptr %Output, ptr %out.row, i64 1
  %out.row.next = getelementptr i64, ptr %out.dims, i64 %out.ndim
  %donated.at = getelementptr %Output, ptr %out.row, i64 0, i32 3
  %donated = load i64, ptr %donated.at
  %is.fresh = icmp eq i64 %donated, 0
  br i1 %is.fresh, label %output.fresh, label %output.donated

output.fresh:                                         ; the reference to the descr is stolen
  %out.descr = load ptr, ptr %out.row
  call void @Py_IncRef(ptr %out.descr)
  %out.ndim.int = trunc i64 %out.ndim to i32
  %handler.at = getelementptr %Output, ptr %out.row, i64 0, i32 4
  %handler = load ptr, ptr %handler.at
  %is.pooled = icmp ne ptr %handler, null
  br i1 %is.pooled, label %output.pooled, label %output.plain

output.plain:
  %plain = call ptr @PyArray_NewFromDescr(ptr %array.type, ptr %out.descr, i32 %out.ndim.int, ptr %out.dims, ptr null, ptr null, i32 0, ptr null)
  br label %output.new

output.pooled:
  %user = call ptr @PyDataMem_SetHandler(ptr %handler)
  %was.set = icmp ne ptr %user, null
  br i1 %was.set, label %output.with.handler, label %output.without

output.without:
  call void @Py_DecRef(ptr %out.descr)
  br label %drop

output.with.handler:
  %pooled = call ptr @PyArray_NewFromDescr(ptr %array.type, ptr %out.descr, i32 %out.ndim.int, ptr %out.dims, ptr null, ptr null, i32 0, ptr null)
  %ours = call ptr @PyDataMem_SetHandler(ptr %user)
  call void @Py_DecRef(ptr %user)
  call void @Py_DecRef(ptr %ours)
  br label %output.new

output.new:
  %fresh = phi ptr [ %plain, %output.plain ], [ %pooled, %output.with.handler ]
  %was.made = icmp ne ptr %fresh, null
  br i1 %was.made, label %output.made, label %drop

output.donated:
  %donor.index = sub i64 %donated, 1
  %donor.at = getelementptr ptr, ptr %items, i64 %donor.index
  %donor = load ptr, ptr %donor.at
  call void @Py_IncRef(ptr %donor)
  br label %output.made

output.made:
  %out = phi ptr [ %fresh, %output.new ], [ %donor, %output.donated ]
  %result.at = getelementptr ptr, ptr %results.items, i64 %o
  store ptr %out, ptr %result.at
  %out.data.at = getelementptr %Array, ptr %out, i64 0, i32 1
  %out.data = load ptr, ptr %out.data.at
  %out.slot.at = getelementptr %Output, ptr %out.row, i64 0, i32 2
  %out.slot.index = load i64, ptr %out.slot.at
  %out.slot = getelementptr ptr, ptr %table, i64 %out.slot.index
  store ptr %out.data, ptr %out.slot
  %o.next = add nuw nsw i64 %o, 1
  br label %outputs.next

run:
  %code = load ptr, ptr %plan
  %entries.at = getelementptr %Plan, ptr %plan, i64 0, i32 1
  %entries = load i64, ptr %entries.at
  %thread = call ptr @PyEval_SaveThread()
  %status = call i64 @ft_run(ptr %code, i64 %entries, ptr %table)
  call void @PyEval_RestoreThread(ptr %thread)
  %success = icmp eq i64 %status, 0
  br i1 %success, label %end, label %failure

end:
  ret ptr %results

failure:
  call void @Py_DecRef(ptr %results)
  %error = call ptr @PyErr_Occurred()
  %has.error = icmp ne ptr %error, null
  br i1 %has.error, label %raise, label %report

report:
  %minus = sub i64 0, %status
  %minus.object = call ptr @PyLong_FromLongLong(i64 %minus)
  ret ptr %minus.object

drop:
  call void @Py_DecRef(ptr %results)
  br label %raise

misused:
  call i32 @PyErr_BadArgument()
  br label %raise

raise:
  ret ptr null
}

; A METH_FASTCALL function too: its plan is (count, type of arrays, then rows), its argument the
; address of an array of pointers; gives the list of arrays at these pointers.
%View = type { ptr, i64, i64 }                        ; descr, ndim, flags; then the dims

define ptr @ft_views(ptr %self, ptr %args, i64 %nargs) #0 {
start:
  %plan.at = getelementptr %Array, ptr %self, i64 0, i32 1
  %plan = load ptr, ptr %plan.at
  %bufs.object = load ptr, ptr %args
  %bufs = call ptr @PyLong_AsVoidPtr(ptr %bufs.object)
  %count = load i64, ptr %plan
  %array.type.at = getelementptr i64, ptr %plan, i64 1
  %array.type = load ptr, ptr %array.type.at
  %first = getelementptr i64, ptr %plan, i64 2
  %views = call ptr @PyList_New(i64 %count)
  %has.views = icmp ne ptr %views, null
  br i1 %has.views, label %begin, label %raise

begin:
  %items.at = getelementptr %List, ptr %views, i64 0, i32 2
  %items = load ptr, ptr %items.at
  br label %next

next:
  %i = phi i64 [ 0, %begin ], [ %i.next, %made ]
  %row = phi ptr [ %first, %begin ], [ %row.next, %made ]
  %more = icmp slt i64 %i, %count
  br i1 %more, label %one, label %end

one:
  %descr = load ptr, ptr %row
  %ndim.at = getelementptr %View, ptr %row, i64 0, i32 1
  %ndim = load i64, ptr %ndim.at
  %flags.at = getelementptr %View, ptr %row, i64 0, i32 2
  %flags = load i64, ptr %flags.at
  %dims = getelementptr %View, ptr %row, i64 1
  %row.next = getelementptr i64, ptr %dims, i64 %ndim
  %buf = getelementptr ptr, ptr %bufs, i64 %i
  %data = load ptr, ptr %buf
  call void @Py_IncRef(ptr %descr)
  %ndim.int = trunc i64 %ndim to i32
  %flags.int = trunc i64 %flags to i32
  %view = call ptr @PyArray_NewFromDescr(ptr %array.type, ptr %descr, i32 %ndim.int, ptr %dims, ptr null, ptr %data, i32 %flags.int, ptr null)
  %good = icmp ne ptr %view, null
  br i1 %good, label %made, label %drop

made:
  %item = getelementptr ptr, ptr %items, i64 %i
  store ptr %view, ptr %item
  %i.next = add nuw nsw i64 %i, 1
  br label %next

end:
  ret ptr %views

drop:
  call void @Py_DecRef(ptr %views)
  br label %raise

raise:
  ret ptr null
}
