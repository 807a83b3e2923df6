;; The bytes of a tensor that a compute has consumed.
(func $deed
  (call $put (i32.const 64) (i32.const 8) (i32.const 5) (call $good))
  (call $is (i32.const -1) (call $ask (call $context)))
  (call $data (i32.load (i32.const 72)) (i32.const 128)))
