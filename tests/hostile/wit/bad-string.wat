;; A name that is not UTF-8.
(func $deed
  (i32.store (i32.const 512) (i32.const 0x80a0ed))
  (call $load_by_name (i32.const 512) (i32.const 3) (i32.const 128)))
