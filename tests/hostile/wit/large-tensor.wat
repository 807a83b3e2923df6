;; A tensor of 257 MiB that the guest really has: more than it may hand over in one call.
(func $deed (local $context i32)
  (local.set $context (call $context))
  (drop (memory.grow (i32.const 4200)))
  (i32.store (i32.const 512) (i32.const 67371008))
  (drop (call $tensor (i32.const 512) (i32.const 1) (i32.const 1) (i32.const 1024) (i32.const 269484032))))
