;; A context as its own input.
(func $deed (local $context i32)
  (local.set $context (call $context))
  (call $put (i32.const 64) (i32.const 8) (i32.const 5) (local.get $context))
  (drop (call $ask (local.get $context))))
