;; Computes on and on and drops no output: too large once the guest holds as many tensors as it may.
(func $deed (local $context i32) (local $count i32) (local $outcome i32)
  (local.set $context (call $context))
  (loop $again
    (local.set $count (i32.add (local.get $count) (i32.const 1)))
    (call $put (i32.const 64) (i32.const 8) (i32.const 5) (call $good))
    (call $compute (local.get $context) (i32.const 64) (i32.const 1) (i32.const 128))
    (local.set $outcome (call $outcome))
    (br_if $again
      (i32.and
        (i32.eq (local.get $outcome) (i32.const -1))
        (i32.lt_u (local.get $count) (i32.const 2000)))))
  (call $is (i32.const 5) (local.get $outcome))
  (call $is (i32.const 1) (i32.le_u (local.get $count) (i32.const 1025))))
