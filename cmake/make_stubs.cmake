# Run at build time (cmake -P): writes STUBS/redislock/_core.pyi from the module under STAGE.
# PYTHONPATH is prepended to, never replaced: pip's isolated build environment lives in it.

if(DEFINED ENV{PYTHONPATH})
  set(ENV{PYTHONPATH} "${STAGE}:$ENV{PYTHONPATH}")
else()
  set(ENV{PYTHONPATH} "${STAGE}")
endif()
execute_process(
  COMMAND "${PYTHON}" -B -m pybind11_stubgen redislock._core --exit-code -o "${STUBS}"
  RESULT_VARIABLE failed OUTPUT_VARIABLE said ERROR_VARIABLE said)
if(failed)
  message(FATAL_ERROR "pybind11-stubgen failed:\n${said}")
endif()
