;; Drops a tensor twice.
(func $deed (local $tensor i32)
  (local.set $tensor (call $good))
  (call $drop_tensor (local.get $tensor))
  (call $drop_tensor (local.get $tensor)))
