;; What the hostile components share: the interfaces, memory, a few helpers. A deed is a piece of text that defines the
;; function `$deed`; it takes the place of the mark at the end. A check that fails traps by `unreachable`.
(component
  (import "wasi:nn/errors@0.2.0-rc-2024-10-28" (instance $errors
    (export "error" (type $error (sub resource)))
    (type $codes (enum "invalid-argument" "invalid-encoding" "timeout" "runtime-error" "unsupported-operation"
      "too-large" "not-found" "security" "unknown"))
    (export "error-code" (type $code (eq $codes)))
    (export "[method]error.code" (func (param "self" (borrow $error)) (result $code)))))
  (alias export $errors "error" (type $error))

  (import "wasi:nn/tensor@0.2.0-rc-2024-10-28" (instance $tensors
    (export "tensor" (type $tensor (sub resource)))
    (type $types (enum "FP16" "FP32" "FP64" "BF16" "U8" "I32" "I64"))
    (export "tensor-type" (type $type (eq $types)))
    (export "[constructor]tensor"
      (func (param "dimensions" (list u32)) (param "ty" $type) (param "data" (list u8)) (result (own $tensor))))
    (export "[method]tensor.data" (func (param "self" (borrow $tensor)) (result (list u8))))))
  (alias export $tensors "tensor" (type $tensor))

  (import "wasi:nn/inference@0.2.0-rc-2024-10-28" (instance $inference
    (alias outer 1 $error (type $error'))
    (export "error" (type $error (eq $error')))
    (alias outer 1 $tensor (type $tensor'))
    (export "tensor" (type $tensor (eq $tensor')))
    (export "graph-execution-context" (type $context (sub resource)))
    (export "[method]graph-execution-context.compute"
      (func (param "self" (borrow $context)) (param "inputs" (list (tuple string (own $tensor))))
        (result (result (list (tuple string (own $tensor))) (error (own $error))))))))
  (alias export $inference "graph-execution-context" (type $context))

  (import "wasi:nn/graph@0.2.0-rc-2024-10-28" (instance $graphs
    (alias outer 1 $error (type $error'))
    (export "error" (type $error (eq $error')))
    (alias outer 1 $context (type $context'))
    (export "graph-execution-context" (type $context (eq $context')))
    (export "graph" (type $graph (sub resource)))
    (type $encodings (enum "openvino" "onnx" "tensorflow" "pytorch" "tensorflowlite" "ggml" "autodetect"))
    (export "graph-encoding" (type $encoding (eq $encodings)))
    (type $targets (enum "cpu" "gpu" "tpu"))
    (export "execution-target" (type $target (eq $targets)))
    (export "load"
      (func (param "builder" (list (list u8))) (param "encoding" $encoding) (param "target" $target)
        (result (result (own $graph) (error (own $error))))))
    (export "load-by-name" (func (param "name" string) (result (result (own $graph) (error (own $error))))))
    (export "[method]graph.init-execution-context"
      (func (param "self" (borrow $graph)) (result (result (own $context) (error (own $error))))))))
  (alias export $graphs "graph" (type $graph))

  ;; Memory, and room in it for what the host returns: 64 KiB from 65536 on, again and again. A deed may ask for worse:
  ;; 1 hands out room behind memory's end, 2 calls the host back.
  (core module $memory
    (import "host" "code" (func $code (param i32) (result i32)))
    (memory (export "memory") 17)
    (global $evil (export "evil") (mut i32) (i32.const 0))
    (global $next (mut i32) (i32.const 65536))
    (func (export "realloc") (param i32 i32 i32) (param $len i32) (result i32) (local $at i32)
      (if (i32.eq (global.get $evil) (i32.const 1)) (then (return (i32.const -8))))
      (if (i32.eq (global.get $evil) (i32.const 2)) (then (drop (call $code (i32.const 1)))))
      (if (i32.gt_u (i32.add (global.get $next) (local.get $len)) (i32.const 131072))
        (then (global.set $next (i32.const 65536))))
      (local.set $at (global.get $next))
      (global.set $next
        (i32.and (i32.add (i32.add (local.get $at) (local.get $len)) (i32.const 7)) (i32.const -8)))
      (local.get $at)))
  (core func $code (canon lower (func $errors "[method]error.code")))
  (core instance $memory (instantiate $memory (with "host" (instance (export "code" (func $code))))))
  (alias core export $memory "memory" (core memory $bytes))
  (alias core export $memory "realloc" (core func $realloc))

  (core func $tensor
    (canon lower (func $tensors "[constructor]tensor") (memory $bytes) (realloc $realloc)))
  (core func $data
    (canon lower (func $tensors "[method]tensor.data") (memory $bytes) (realloc $realloc)))
  (core func $load (canon lower (func $graphs "load") (memory $bytes) (realloc $realloc)))
  (core func $load-by-name (canon lower (func $graphs "load-by-name") (memory $bytes) (realloc $realloc)))
  (core func $init
    (canon lower (func $graphs "[method]graph.init-execution-context") (memory $bytes) (realloc $realloc)))
  (core func $compute
    (canon lower (func $inference "[method]graph-execution-context.compute") (memory $bytes) (realloc $realloc)))
  (core func $drop-error (canon resource.drop $error))
  (core func $drop-tensor (canon resource.drop $tensor))
  (core func $drop-graph (canon resource.drop $graph))
  (core func $drop-context (canon resource.drop $context))

  (core module $guest
    (import "nn" "memory" (memory 17))
    (import "nn" "evil" (global $evil (mut i32)))
    ;; Dimensions, type, data.
    (import "nn" "tensor" (func $tensor (param i32 i32 i32 i32 i32) (result i32)))
    (import "nn" "data" (func $data (param i32 i32)))
    ;; The last parameter is where the result goes: 0 and a handle (of `compute`: a list), or 1 and an error.
    (import "nn" "load" (func $load (param i32 i32 i32 i32 i32)))
    (import "nn" "load-by-name" (func $load_by_name (param i32 i32 i32)))
    (import "nn" "init" (func $init (param i32 i32)))
    (import "nn" "compute" (func $compute (param i32 i32 i32 i32)))
    (import "nn" "code" (func $code (param i32) (result i32)))
    (import "nn" "drop-error" (func $drop_error (param i32)))
    (import "nn" "drop-tensor" (func $drop_tensor (param i32)))
    (import "nn" "drop-graph" (func $drop_graph (param i32)))
    (import "nn" "drop-context" (func $drop_context (param i32)))
    (data (i32.const 0) "echo")
    (data (i32.const 8) "input")
    ;; A good tensor: f32 [4], its dimensions at 16, its bytes at 32.
    (data (i32.const 16) "\04\00\00\00")
    (data (i32.const 32) "\00\00\80\3f\00\00\00\40\00\00\40\40\00\00\80\40")

    (func $is (param $wanted i32) (param $got i32)
      (if (i32.ne (local.get $got) (local.get $wanted)) (then unreachable)))

    ;; What the result at 128 is: -1 for success, else the error's code. The error is dropped.
    (func $outcome (result i32) (local $code i32)
      (if (i32.eqz (i32.load8_u (i32.const 128))) (then (return (i32.const -1))))
      (local.set $code (call $code (i32.load (i32.const 132))))
      (call $drop_error (i32.load (i32.const 132)))
      (local.get $code))

    (func $model (result i32)
      (call $load_by_name (i32.const 0) (i32.const 4) (i32.const 128))
      (call $is (i32.const -1) (call $outcome))
      (i32.load (i32.const 132)))

    (func $context (result i32)
      (call $init (call $model) (i32.const 128))
      (call $is (i32.const -1) (call $outcome))
      (i32.load (i32.const 132)))

    (func $good (result i32)
      (call $tensor (i32.const 16) (i32.const 1) (i32.const 1) (i32.const 32) (i32.const 16)))

    ;; One input of a compute, at `at`.
    (func $put (param $at i32) (param $name i32) (param $len i32) (param $tensor i32)
      (i32.store (local.get $at) (local.get $name))
      (i32.store offset=4 (local.get $at) (local.get $len))
      (i32.store offset=8 (local.get $at) (local.get $tensor)))

    ;; Computes with the one input at 64; the outcome, whose output is dropped.
    (func $ask (param $context i32) (result i32) (local $outcome i32)
      (call $compute (local.get $context) (i32.const 64) (i32.const 1) (i32.const 128))
      (local.set $outcome (call $outcome))
      (if (i32.eq (local.get $outcome) (i32.const -1))
        (then (call $drop_tensor (i32.load offset=8 (i32.load (i32.const 132))))))
      (local.get $outcome))

    ;; Still served.
    (func $works (param $context i32)
      (call $put (i32.const 64) (i32.const 8) (i32.const 5) (call $good))
      (call $is (i32.const -1) (call $ask (local.get $context))))

    (; DEED ;)

    (func (export "run") (result i32) (call $deed) (i32.const 0)))

  (core instance $guest (instantiate $guest (with "nn" (instance
    (export "memory" (memory $bytes))
    (export "evil" (global $memory "evil"))
    (export "tensor" (func $tensor))
    (export "data" (func $data))
    (export "load" (func $load))
    (export "load-by-name" (func $load-by-name))
    (export "init" (func $init))
    (export "compute" (func $compute))
    (export "code" (func $code))
    (export "drop-error" (func $drop-error))
    (export "drop-tensor" (func $drop-tensor))
    (export "drop-graph" (func $drop-graph))
    (export "drop-context" (func $drop-context))))))
  (func $run (result (result)) (canon lift (core func $guest "run")))
  (instance $exports (export "run" (func $run)))
  (export "wasi:cli/run@0.2.0" (instance $exports)))
