# SPDX-License-Identifier: Apache-2.0
# Numbers in a program whose locale has a comma before the fraction, if the system has the means to make one.
set(locales ${CMAKE_CURRENT_BINARY_DIR}/locale)
file(MAKE_DIRECTORY ${locales})
execute_process(COMMAND localedef -i de_DE -f UTF-8 ${locales}/comma.UTF-8 RESULT_VARIABLE no_locale OUTPUT_QUIET ERROR_QUIET)
if(no_locale EQUAL 0)
  add_test(NAME locale_with_a_comma COMMAND test_numerals)
  set_tests_properties(locale_with_a_comma PROPERTIES ENVIRONMENT "LOCPATH=${locales};QN_COMMA=comma.UTF-8")
else()
  message(STATUS "No localedef here that makes a locale with a comma: that test is left out")
endif()
