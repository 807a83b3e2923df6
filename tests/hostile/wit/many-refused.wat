;; As many tensors as the guest may hold, and one more: that is refused where it is used.
(func $deed (local $context i32) (local $count i32)
  (local.set $context (call $context))
  (loop $again
    (local.set $count (i32.add (local.get $count) (i32.const 1)))
    (drop (call $good))
    (br_if $again (i32.lt_u (local.get $count) (i32.const 1024))))
  (call $put (i32.const 64) (i32.const 8) (i32.const 5) (call $good))
  (call $is (i32.const 5) (call $ask (local.get $context))))
