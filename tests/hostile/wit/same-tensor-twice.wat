;; One tensor as two inputs of one compute. It is consumed by the first.
(func $deed (local $tensor i32)
  (local.set $tensor (call $good))
  (call $put (i32.const 64) (i32.const 8) (i32.const 5) (local.get $tensor))
  (call $put (i32.const 76) (i32.const 8) (i32.const 5) (local.get $tensor))
  (call $compute (call $context) (i32.const 64) (i32.const 2) (i32.const 128)))
