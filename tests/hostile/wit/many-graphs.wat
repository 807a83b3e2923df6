;; A hundred thousand graphs: beyond the ceiling a runtime-error, which is what this interface has for busy.
(func $deed (local $context i32) (local $count i32) (local $held i32) (local $outcome i32)
  (local.set $context (call $context))
  (loop $again
    (local.set $count (i32.add (local.get $count) (i32.const 1)))
    (call $load_by_name (i32.const 0) (i32.const 4) (i32.const 128))
    (local.set $outcome (call $outcome))
    (if (i32.eq (local.get $outcome) (i32.const -1))
      (then (local.set $held (i32.add (local.get $held) (i32.const 1))))
      (else (call $is (i32.const 3) (local.get $outcome))))
    (br_if $again (i32.lt_u (local.get $count) (i32.const 100000))))
  (call $is (i32.const 1) (i32.le_u (local.get $held) (i32.const 64)))
  (call $works (local.get $context)))
