;; A compute in a context that has been dropped. Its handle stays unused: the tensor was made before.
(func $deed (local $context i32)
  (local.set $context (call $context))
  (call $works (local.get $context))
  (call $put (i32.const 64) (i32.const 8) (i32.const 5) (call $good))
  (call $drop_context (local.get $context))
  (drop (call $ask (local.get $context))))
