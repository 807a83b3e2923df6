;; A tensor of 257 MiB, which the guest really has: too large, and nothing of it is copied.
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
  (memory (export "memory") 4200)
  (data (i32.const 0) "echo")
  ;; A good tensor at 16: f32 [4], its dimensions at 64, its bytes at 80.
  (data (i32.const 16) "\40\00\00\00\01\00\00\00\01\00\00\00\50\00\00\00\10\00\00\00")
  (data (i32.const 64) "\04\00\00\00")
  (data (i32.const 80) "\00\00\80\3f\00\00\00\40\00\00\40\40\00\00\80\40")

  ;; Ends with the number of the check when the errno is not the wanted one.
  (func $is (param $check i32) (param $wanted i32) (param $got i32)
    (if (i32.ne (local.get $got) (local.get $wanted))
      (then (call $exit (local.get $check)))))

  ;; A context of `echo`; its handle is at 132.
  (func $open (result i32)
    (call $is (i32.const 110) (i32.const 0)
      (call $load_by_name (i32.const 0) (i32.const 4) (i32.const 128)))
    (call $is (i32.const 111) (i32.const 0)
      (call $init_execution_context (i32.load (i32.const 128)) (i32.const 132)))
    (i32.load (i32.const 132)))

  ;; Still served: the good tensor comes back as it was.
  (func $works (param $context i32)
    (call $is (i32.const 112) (i32.const 0)
      (call $set_input (local.get $context) (i32.const 0) (i32.const 16)))
    (call $is (i32.const 113) (i32.const 0) (call $compute (local.get $context)))
    (call $is (i32.const 114) (i32.const 0)
      (call $get_output (local.get $context) (i32.const 0) (i32.const 256) (i32.const 64) (i32.const 136)))
    (call $is (i32.const 115) (i32.const 16) (i32.load (i32.const 136)))
    (call $is (i32.const 116) (i32.const 0)
      (i64.ne (i64.load (i32.const 264)) (i64.load (i32.const 88)))))

  (func (export "_start") (local $context i32)
    (local.set $context (call $open))
    (i32.store (i32.const 600) (i32.const 67371008))
    (i32.store (i32.const 512) (i32.const 600))
    (i32.store (i32.const 516) (i32.const 1))
    (i32.store (i32.const 520) (i32.const 1))
    (i32.store (i32.const 524) (i32.const 1024))
    (i32.store (i32.const 528) (i32.const 269484032))
    (call $is (i32.const 1) (i32.const 7)
      (call $set_input (local.get $context) (i32.const 0) (i32.const 512)))
    (call $works (local.get $context))))
