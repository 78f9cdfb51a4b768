# SPDX-License-Identifier: MIT
# Finds cuDNN 9 and defines the target CUDNN::cudnn. Looked at, in this order: CUDNN_ROOT (variable or environment), the
# CUDA toolkit, the system's folders, the pip package of the Python that CUDNN_PYTHON names (python3 otherwise).
# A pip package is nvidia/cudnn/{include,lib} and has no libcudnn.so, only libcudnn.so.9.
function(_cudnn_look_in folder)
  if(folder AND NOT (CUDNN_LIBRARY AND CUDNN_INCLUDE_DIR))
    find_path(CUDNN_INCLUDE_DIR cudnn_graph.h PATHS "${folder}" PATH_SUFFIXES include NO_DEFAULT_PATH)
    find_library(CUDNN_LIBRARY NAMES cudnn libcudnn.so.9 NAMES_PER_DIR PATHS "${folder}"
      PATH_SUFFIXES lib lib64 lib/x86_64-linux-gnu lib/aarch64-linux-gnu NO_DEFAULT_PATH)
    if(NOT (CUDNN_LIBRARY AND CUDNN_INCLUDE_DIR))  # headers of one place and a library of another do not fit
      unset(CUDNN_LIBRARY CACHE)
      unset(CUDNN_INCLUDE_DIR CACHE)
    endif()
  endif()
endfunction()

foreach(_folder IN ITEMS "${CUDNN_ROOT}" "$ENV{CUDNN_ROOT}" "${CUDAToolkit_LIBRARY_ROOT}" "${CUDAToolkit_TARGET_DIR}"
                         /usr/local/cuda /usr)
  _cudnn_look_in("${_folder}")
endforeach()
if(NOT CUDNN_LIBRARY)
  find_program(_cudnn_python NAMES ${CUDNN_PYTHON} python3 NO_CACHE)
  if(_cudnn_python)
    execute_process(OUTPUT_VARIABLE _folder OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET COMMAND ${_cudnn_python} -c
      "import importlib.util as u; s = u.find_spec('nvidia.cudnn'); print(list(s.submodule_search_locations)[0] if s else '')")
    _cudnn_look_in("${_folder}")
  endif()
endif()

foreach(_header cudnn_version_v9.h cudnn_version.h)
  if(CUDNN_INCLUDE_DIR AND NOT CUDNN_VERSION AND EXISTS "${CUDNN_INCLUDE_DIR}/${_header}")
    file(STRINGS "${CUDNN_INCLUDE_DIR}/${_header}" _lines REGEX "^#define CUDNN_(MAJOR|MINOR|PATCHLEVEL) [0-9]+")
    if(_lines)
      string(REGEX REPLACE ".*MAJOR ([0-9]+).*MINOR ([0-9]+).*PATCHLEVEL ([0-9]+).*" "\\1.\\2.\\3" CUDNN_VERSION "${_lines}")
    endif()
  endif()
endforeach()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(CUDNN REQUIRED_VARS CUDNN_LIBRARY CUDNN_INCLUDE_DIR VERSION_VAR CUDNN_VERSION)
if(CUDNN_FOUND AND NOT TARGET CUDNN::cudnn)
  get_filename_component(_folder "${CUDNN_LIBRARY}" DIRECTORY)
  add_library(CUDNN::cudnn UNKNOWN IMPORTED)
  set_target_properties(CUDNN::cudnn PROPERTIES IMPORTED_LOCATION "${CUDNN_LIBRARY}"
    INTERFACE_INCLUDE_DIRECTORIES "${CUDNN_INCLUDE_DIR}")
  target_link_options(CUDNN::cudnn INTERFACE "LINKER:-rpath,${_folder}")  # its parts are opened from the same folder
endif()
mark_as_advanced(CUDNN_INCLUDE_DIR CUDNN_LIBRARY)
