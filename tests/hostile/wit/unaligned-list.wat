;; Dimensions at an odd address.
(func $deed
  (drop (call $tensor (i32.const 17) (i32.const 1) (i32.const 1) (i32.const 32) (i32.const 16))))
