;; A memory of no pages: every pointer leads out of it.
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
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 0)

  ;; Ends with the number of the check when the errno is not the wanted one.
  (func $is (param $check i32) (param $wanted i32) (param $got i32)
    (if (i32.ne (local.get $got) (local.get $wanted))
      (then (call $exit (local.get $check)))))

  (func (export "_start")
    (call $is (i32.const 1) (i32.const 1)
      (call $load (i32.const 0) (i32.const 1) (i32.const 1) (i32.const 0) (i32.const 0)))
    (call $is (i32.const 2) (i32.const 1)
      (call $load_by_name (i32.const 0) (i32.const 4) (i32.const 0)))
    (call $is (i32.const 3) (i32.const 1)
      (call $load_by_name (i32.const 0) (i32.const 0) (i32.const 0)))
    (call $is (i32.const 4) (i32.const 1)
      (call $init_execution_context (i32.const 0) (i32.const 0)))
    (call $is (i32.const 5) (i32.const 1)
      (call $set_input (i32.const 0) (i32.const 0) (i32.const 0)))
    (call $is (i32.const 6) (i32.const 1)
      (call $get_output (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))
    (call $is (i32.const 7) (i32.const 1)
      (call $compute (i32.const 0)))))
