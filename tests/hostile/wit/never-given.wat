;; A handle that nobody was given.
(func $deed (drop (call $ask (i32.const 123456))))
