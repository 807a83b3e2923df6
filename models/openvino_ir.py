"""Writes a model as OpenVINO's own IR: `openvino_ir.py RUNTIME MODEL.onnx MODEL.xml`; the weights come beside it, as MODEL.bin.

RUNTIME is the folder of OpenVINO's libraries, as `cargo xtask setup` puts them in place. They read ONNX; the C interface
does not write, so the one function that does is called in the C++ library, by its name there. That needs no package and
no certain Python, and holds for this release only: the digests in the manifests say so when another one is put in place.
Numbers stay as they are (no half precision), and the same model gives the same bytes on every machine. Why so: ADR 28.
"""

import ctypes
import os
import sys

RELEASE = "2641"
# void ov::save_model(const std::shared_ptr<const ov::Model>&, const std::wstring& path, bool compress_to_fp16)
SAVE_MODEL = "_ZN2ov10save_modelERKSt10shared_ptrIKNS_5ModelEERKNSt7__cxx1112basic_stringIwSt11char_traitsIwESaIwEEEb"


class WString(ctypes.Structure):
    """How libstdc++ lays out a std::wstring that somebody only reads."""

    _fields_ = [("text", ctypes.c_wchar_p), ("length", ctypes.c_size_t), ("room", ctypes.c_size_t * 2)]


def main():
    if len(sys.argv) != 4:
        raise SystemExit(f"usage: {os.path.basename(sys.argv[0])} RUNTIME MODEL.onnx MODEL.xml")
    runtime, source, target = sys.argv[1:]
    library = lambda name: ctypes.CDLL(os.path.join(runtime, f"{name}.so.{RELEASE}"))
    c, cpp = library("libopenvino_c"), library("libopenvino")

    core, model = ctypes.c_void_p(), ctypes.c_void_p()

    def expect(call, status):
        if status != 0:
            c.ov_get_last_err_msg.restype = ctypes.c_char_p
            raise SystemExit(f"{call} answered {status}: {(c.ov_get_last_err_msg() or b'').decode(errors='replace')}")

    expect("ov_core_create", c.ov_core_create(ctypes.byref(core)))
    read = c.ov_core_read_model(core, os.fsencode(source), None, ctypes.byref(model))
    expect("ov_core_read_model", read)

    save = getattr(cpp, SAVE_MODEL)
    save.restype = None
    save.argtypes = [ctypes.c_void_p, ctypes.POINTER(WString), ctypes.c_bool]
    # What C has as an ov_model_t begins with the shared pointer that C++ has.
    save(model, ctypes.byref(WString(target, len(target))), False)

    c.ov_model_free.argtypes = c.ov_core_free.argtypes = [ctypes.c_void_p]
    c.ov_model_free.restype = c.ov_core_free.restype = None
    c.ov_model_free(model)
    c.ov_core_free(core)


main()
