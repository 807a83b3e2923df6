;; A million errors, none of which is dropped.
(func $deed (local $count i32)
  (loop $again
    (local.set $count (i32.add (local.get $count) (i32.const 1)))
    (call $load_by_name (i32.const 0) (i32.const 0) (i32.const 128))
    (call $is (i32.const 1) (i32.load8_u (i32.const 128)))
    (br_if $again (i32.lt_u (local.get $count) (i32.const 1000000)))))
