;; Nine hundred inputs in one compute.
(func $deed (local $context i32) (local $count i32)
  (local.set $context (call $context))
  (loop $again
    (call $put
      (i32.add (i32.const 131072) (i32.mul (local.get $count) (i32.const 12)))
      (i32.const 8) (i32.const 5) (call $good))
    (local.set $count (i32.add (local.get $count) (i32.const 1)))
    (br_if $again (i32.lt_u (local.get $count) (i32.const 900))))
  (call $compute (local.get $context) (i32.const 131072) (i32.const 900) (i32.const 128))
  (call $is (i32.const 0) (call $outcome))
  ;; All of them are consumed: there is room again.
  (call $works (local.get $context)))
