;; A graph encoding that is none.
(func $deed
  (i64.store (i32.const 64) (i64.const 0x400000000))
  (call $load (i32.const 64) (i32.const 1) (i32.const 7) (i32.const 0) (i32.const 128)))
