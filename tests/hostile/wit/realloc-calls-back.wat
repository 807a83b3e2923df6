;; Calls the host while the host asks for room.
(func $deed
  (call $put (i32.const 64) (i32.const 8) (i32.const 5) (call $good))
  (i32.store (i32.const 140) (call $context))
  (global.set $evil (i32.const 2))
  (drop (call $ask (i32.load (i32.const 140)))))
