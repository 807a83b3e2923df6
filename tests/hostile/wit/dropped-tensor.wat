;; A tensor that has been dropped, as an input.
(func $deed (local $context i32)
  (local.set $context (call $context))
  (call $put (i32.const 64) (i32.const 8) (i32.const 5) (call $good))
  (call $drop_tensor (i32.load (i32.const 72)))
  (drop (call $ask (local.get $context))))
