;; A hundred thousand contexts of one graph.
(func $deed (local $graph i32) (local $count i32) (local $held i32) (local $outcome i32)
  (local.set $graph (call $model))
  (loop $again
    (local.set $count (i32.add (local.get $count) (i32.const 1)))
    (call $init (local.get $graph) (i32.const 128))
    (local.set $outcome (call $outcome))
    (if (i32.eq (local.get $outcome) (i32.const -1))
      (then
        (local.set $held (i32.add (local.get $held) (i32.const 1)))
        (i32.store (i32.const 140) (i32.load (i32.const 132))))
      (else (call $is (i32.const 3) (local.get $outcome))))
    (br_if $again (i32.lt_u (local.get $count) (i32.const 100000))))
  (call $is (i32.const 1) (i32.le_u (local.get $held) (i32.const 256)))
  (call $works (i32.load (i32.const 140))))
