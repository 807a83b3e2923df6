;; Dimensions whose product or number cannot be: found out by compute, as the constructor cannot fail.
(func $try (param $context i32) (param $rank i32) (param $len i32)
  (call $put (i32.const 64) (i32.const 8) (i32.const 5)
    (call $tensor (i32.const 131072) (local.get $rank) (i32.const 1) (i32.const 32) (local.get $len)))
  (call $is (i32.const 0) (call $ask (local.get $context))))

(func $deed (local $context i32)
  (local.set $context (call $context))
  (memory.fill (i32.const 131072) (i32.const 0xff) (i32.const 400000))
  ;; 2^32-1 along two and eight axes; nine axes; a hundred thousand.
  (call $try (local.get $context) (i32.const 2) (i32.const 16))
  (call $try (local.get $context) (i32.const 8) (i32.const 16))
  (call $try (local.get $context) (i32.const 9) (i32.const 16))
  (call $try (local.get $context) (i32.const 100000) (i32.const 16))
  ;; 2^30 + 4 elements, whose bytes wrap to 16; 2 GiB by four bytes; 4 GiB by none.
  (i32.store (i32.const 131072) (i32.const 0x40000004))
  (call $try (local.get $context) (i32.const 1) (i32.const 16))
  (i32.store (i32.const 131072) (i32.const 0x20000000))
  (call $try (local.get $context) (i32.const 1) (i32.const 4))
  (i32.store (i32.const 131072) (i32.const 0x40000000))
  (call $try (local.get $context) (i32.const 1) (i32.const 0))
  ;; One byte short, and none.
  (i32.store (i32.const 131072) (i32.const 4))
  (call $try (local.get $context) (i32.const 1) (i32.const 15))
  (call $try (local.get $context) (i32.const 1) (i32.const 0))
  (call $works (local.get $context)))
