;; A tensor type that is none.
(func $deed
  (drop (call $tensor (i32.const 16) (i32.const 1) (i32.const 7) (i32.const 32) (i32.const 16))))
