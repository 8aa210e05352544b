# Installs the build in BUILD, builds SOURCE against it in SCRATCH, and runs it: the plan it writes is one the program reads.
file(REMOVE_RECURSE ${SCRATCH})
foreach(command IN ITEMS
        "${CMAKE_COMMAND}|--install|${BUILD}|--prefix|${SCRATCH}/prefix"
        "${CMAKE_COMMAND}|-G|Ninja|-S|${SOURCE}|-B|${SCRATCH}/build|-DCMAKE_PREFIX_PATH=${SCRATCH}/prefix|-DCMAKE_CXX_FLAGS=${FLAGS}"
        "${CMAKE_COMMAND}|--build|${SCRATCH}/build"
        "${SCRATCH}/build/consumer|${SOURCE}/profile.json|${SOURCE}/scores.json|${SCRATCH}/plan.json"
        "${SCRATCH}/prefix/bin/apreqel|--version")
    string(REPLACE "|" ";" command "${command}")
    execute_process(COMMAND ${command} COMMAND_ERROR_IS_FATAL ANY)
endforeach()
file(READ ${SCRATCH}/plan.json plan)
string(JSON schema GET "${plan}" schema)
string(JSON layer GET "${plan}" allocation 0 layer)
if(NOT schema STREQUAL "apreqel.plan/1" OR NOT layer STREQUAL "blk.0.attn")
    message(FATAL_ERROR "the consumer's plan is ${plan}")
endif()
