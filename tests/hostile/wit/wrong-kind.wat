;; A graph where a tensor belongs.
(func $deed
  (call $put (i32.const 64) (i32.const 8) (i32.const 5) (call $model))
  (drop (call $ask (call $context))))
