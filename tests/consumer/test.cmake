# Installs the build in BUILD and builds SOURCE against it, in SCRATCH.
file(REMOVE_RECURSE ${SCRATCH})
foreach(command IN ITEMS
        "${CMAKE_COMMAND}|--install|${BUILD}|--prefix|${SCRATCH}/prefix"
        "${CMAKE_COMMAND}|-G|Ninja|-S|${SOURCE}|-B|${SCRATCH}/build|-DCMAKE_PREFIX_PATH=${SCRATCH}/prefix|-DCMAKE_CXX_FLAGS=${FLAGS}"
        "${CMAKE_COMMAND}|--build|${SCRATCH}/build"
        "${SCRATCH}/build/consumer"
        "${SCRATCH}/prefix/bin/apreqel|--version")
    string(REPLACE "|" ";" command "${command}")
    execute_process(COMMAND ${command} COMMAND_ERROR_IS_FATAL ANY)
endforeach()
