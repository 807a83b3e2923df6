;; A model of 129 MiB of zeros, brought as bytes.
(func $deed
  (drop (memory.grow (i32.const 2100)))
  (i32.store (i32.const 64) (i32.const 131072))
  (i32.store (i32.const 68) (i32.const 135266304))
  (call $load (i32.const 64) (i32.const 1) (i32.const 1) (i32.const 0) (i32.const 128))
  (call $is (i32.const 5) (call $outcome))
  (call $works (call $context)))
