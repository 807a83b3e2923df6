;; A model of fifty thousand parts, and of none.
(func $deed
  (call $load (i32.const 131072) (i32.const 50000) (i32.const 1) (i32.const 0) (i32.const 128))
  (call $is (i32.const 0) (call $outcome))
  (call $load (i32.const 131072) (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 128))
  (call $is (i32.const 0) (call $outcome))
  (call $works (call $context)))
