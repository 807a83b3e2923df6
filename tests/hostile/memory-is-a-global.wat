;; What is exported as `memory` is a global.
(module
  (import "wasi_ephemeral_nn" "load"
    (func $load (param i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_ephemeral_nn" "load_by_name"
    (func $load_by_name (param i32 i32 i32) (result i32)))
  (import "wasi_ephemeral_nn" "init_execution_context"
    (func $init_execution_context (param i32 i32) (result i32)))
  (import "wasi_ephemeral_nn" "set_input"
    (func $set_input (param i32 i32 i32) (result i32)))
  (import "wasi_ephemeral_nn" "get_output"
    (func $get_output (param i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_ephemeral_nn" "compute"
    (func $compute (param i32) (result i32)))
  (global (export "memory") i32 (i32.const 0))

  ;; There is no memory to find, so WASI cannot be asked to exit either: a failed check traps.
  (func $is (param $wanted i32) (param $got i32)
    (if (i32.ne (local.get $got) (local.get $wanted)) (then unreachable)))

  (func (export "_start")
    (call $is (i32.const 3)
      (call $load (i32.const 0) (i32.const 1) (i32.const 1) (i32.const 0) (i32.const 0)))
    (call $is (i32.const 3) (call $load_by_name (i32.const 0) (i32.const 4) (i32.const 0)))
    (call $is (i32.const 3) (call $init_execution_context (i32.const 0) (i32.const 0)))
    (call $is (i32.const 3) (call $set_input (i32.const 0) (i32.const 0) (i32.const 0)))
    (call $is (i32.const 3)
      (call $get_output (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))
    ;; It points nowhere, but there is no handle either.
    (call $is (i32.const 3) (call $compute (i32.const 0)))))
