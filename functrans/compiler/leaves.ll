; From the arguments of a call to the list of their leaves, if their tree is the one expected.
;
; ft_leaves is a METH_FASTCALL function; its self is a plan (an int64 array), its two arguments are
; the tuple of positional and the dict of keyword arguments. It returns the list of leaves, or None if
; a node is not of the very type and length expected. functrans/compiler/leaves.py makes the plan.

declare ptr @PyDict_GetItem(ptr, ptr)
declare i64 @PyDict_Size(ptr)

%Tuple = type { %Object, i64, [0 x ptr] }             ; length, items
%Node = type { i64, ptr, i64 }                        ; kind, type, number of children; a leaf: kind
%Walk = type { ptr, ptr }                             ; next word of the plan, next place for a leaf

define ptr @ft_leaves(ptr %self, ptr %args, i64 %nargs) #0 {
start:
  %walk = alloca %Walk
  %plan.at = getelementptr %Array, ptr %self, i64 0, i32 1
  %plan = load ptr, ptr %plan.at
  %count = load i64, ptr %plan
  %none.at = getelementptr i64, ptr %plan, i64 1
  %none = load ptr, ptr %none.at
  %nodes = getelementptr i64, ptr %plan, i64 2
  %two = icmp eq i64 %nargs, 2
  br i1 %two, label %create, label %misused

create:
  %list = call ptr @PyList_New(i64 %count)
  %failed = icmp eq ptr %list, null
  br i1 %failed, label %error, label %positional

positional:
  %items.at = getelementptr %List, ptr %list, i64 0, i32 2
  %items = load ptr, ptr %items.at
  store ptr %nodes, ptr %walk
  %out = getelementptr %Walk, ptr %walk, i64 0, i32 1
  store ptr %items, ptr %out
  %first = load ptr, ptr %args
  %good = call i1 @ft_walk(ptr %first, ptr %walk)
  br i1 %good, label %keyword, label %mismatch

keyword:
  %second.at = getelementptr ptr, ptr %args, i64 1
  %second = load ptr, ptr %second.at
  %both = call i1 @ft_walk(ptr %second, ptr %walk)
  br i1 %both, label %done, label %mismatch

done:
  ret ptr %list

mismatch:
  call void @Py_DecRef(ptr %list)
  call void @Py_IncRef(ptr %none)
  ret ptr %none

misused:
  %ignored = call i32 @PyErr_BadArgument()
  ret ptr null

error:
  ret ptr null
}

define internal i1 @ft_walk(ptr %object, ptr %walk) #0 {
start:
  %node = load ptr, ptr %walk
  %kind = load i64, ptr %node
  %is.leaf = icmp eq i64 %kind, 0
  br i1 %is.leaf, label %leaf, label %inner

leaf:
  %after.leaf = getelementptr i64, ptr %node, i64 1
  store ptr %after.leaf, ptr %walk
  %out.at = getelementptr %Walk, ptr %walk, i64 0, i32 1
  %out = load ptr, ptr %out.at
  call void @Py_IncRef(ptr %object)
  store ptr %object, ptr %out
  %after.out = getelementptr ptr, ptr %out, i64 1
  store ptr %after.out, ptr %out.at
  ret i1 true

inner:
  %type.at = getelementptr %Node, ptr %node, i64 0, i32 1
  %type = load ptr, ptr %type.at
  %n.at = getelementptr %Node, ptr %node, i64 0, i32 2
  %n = load i64, ptr %n.at
  %body = getelementptr %Node, ptr %node, i64 1
  %has.at = getelementptr %Object, ptr %object, i64 0, i32 1
  %has = load ptr, ptr %has.at
  %same = icmp eq ptr %has, %type
  br i1 %same, label %which, label %refuse

which:
  switch i64 %kind, label %refuse [
    i64 1, label %tuple
    i64 2, label %list
    i64 3, label %dict
    i64 4, label %none
  ]

none:
  store ptr %body, ptr %walk
  ret i1 true

tuple:
  %tuple.items = getelementptr %Tuple, ptr %object, i64 0, i32 2
  br label %sequence

list:
  %list.items.at = getelementptr %List, ptr %object, i64 0, i32 2
  %list.items = load ptr, ptr %list.items.at
  br label %sequence

sequence:
  %items = phi ptr [ %tuple.items, %tuple ], [ %list.items, %list ]
  %length.at = getelementptr %List, ptr %object, i64 0, i32 1
  %length = load i64, ptr %length.at
  %full = icmp eq i64 %length, %n
  store ptr %body, ptr %walk
  br i1 %full, label %item, label %refuse

item:
  %i = phi i64 [ 0, %sequence ], [ %i.next, %item.walk ]
  %more = icmp slt i64 %i, %n
  br i1 %more, label %item.walk, label %accept

item.walk:
  %child.at = getelementptr ptr, ptr %items, i64 %i
  %child = load ptr, ptr %child.at
  %i.next = add nuw nsw i64 %i, 1
  %good = call i1 @ft_walk(ptr %child, ptr %walk)
  br i1 %good, label %item, label %refuse

dict:
  %size = call i64 @PyDict_Size(ptr %object)
  %complete = icmp eq i64 %size, %n
  %after.keys = getelementptr ptr, ptr %body, i64 %n
  store ptr %after.keys, ptr %walk
  br i1 %complete, label %entry, label %refuse

entry:
  %k = phi i64 [ 0, %dict ], [ %k.next, %value.walk ]
  %entries = icmp slt i64 %k, %n
  br i1 %entries, label %find, label %accept

find:
  %key.at = getelementptr ptr, ptr %body, i64 %k
  %key = load ptr, ptr %key.at
  %value = call ptr @PyDict_GetItem(ptr %object, ptr %key)
  %missing = icmp eq ptr %value, null
  br i1 %missing, label %refuse, label %value.walk

value.walk:
  %k.next = add nuw nsw i64 %k, 1
  %fits = call i1 @ft_walk(ptr %value, ptr %walk)
  br i1 %fits, label %entry, label %refuse

accept:
  ret i1 true

refuse:
  ret i1 false
}
