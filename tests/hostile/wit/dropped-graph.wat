;; A graph is dropped before its context is used: the context keeps it alive.
(func $deed (local $graph i32) (local $context i32)
  (local.set $graph (call $model))
  (call $init (local.get $graph) (i32.const 128))
  (call $is (i32.const -1) (call $outcome))
  (local.set $context (i32.load (i32.const 132)))
  (call $drop_graph (local.get $graph))
  (call $works (local.get $context)))
