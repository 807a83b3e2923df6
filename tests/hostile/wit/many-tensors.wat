;; A million tensors, none of which is dropped. Beyond the guest's ceiling they keep nothing, and beyond the store's
;; there is no handle for them.
(func $deed (local $count i32)
  (loop $again
    (local.set $count (i32.add (local.get $count) (i32.const 1)))
    (drop (call $good))
    (br_if $again (i32.lt_u (local.get $count) (i32.const 1000000)))))
