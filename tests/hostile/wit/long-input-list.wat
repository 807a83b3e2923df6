;; A hundred thousand inputs in one compute, all but the first of which are no handles.
(func $deed (local $context i32) (local $count i32)
  (local.set $context (call $context))
  (drop (memory.grow (i32.const 20)))
  (loop $again
    (call $put
      (i32.add (i32.const 131072) (i32.mul (local.get $count) (i32.const 12)))
      (i32.const 8) (i32.const 5) (i32.const 100))
    (local.set $count (i32.add (local.get $count) (i32.const 1)))
    (br_if $again (i32.lt_u (local.get $count) (i32.const 100000))))
  (i32.store (i32.const 131080) (call $good))
  (call $compute (local.get $context) (i32.const 131072) (i32.const 100000) (i32.const 128)))
