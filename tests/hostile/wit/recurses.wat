;; Runs out of stack with an output held.
(func $deeper (call $deeper) (call $deeper))

(func $deed
  (call $put (i32.const 64) (i32.const 8) (i32.const 5) (call $good))
  (call $compute (call $context) (i32.const 64) (i32.const 1) (i32.const 128))
  (call $deeper))
