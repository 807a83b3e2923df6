;; Traps with an input and an output held. By a division, as a failed check traps by `unreachable`.
(func $deed
  (call $put (i32.const 64) (i32.const 8) (i32.const 5) (call $good))
  (call $compute (call $context) (i32.const 64) (i32.const 1) (i32.const 128))
  (call $is (i32.const -1) (call $outcome))
  (drop (call $good))
  (drop (i32.div_u (i32.const 1) (i32.const 0))))
