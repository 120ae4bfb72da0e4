// SPDX-License-Identifier: Apache-2.0
// Compares two models from C++: compare-models FLOAT.onnx QUANT.onnx SAMPLES
#include <qonnx/qonnx.h>

#include <cstdio>
#include <memory>
#include <stdexcept>
#include <string>

namespace
{

struct Free {
    void operator()(qonnx_options *options) const { qonnx_options_free(options); }
    void operator()(qonnx_result *result) const { qonnx_result_free(result); }
};
using Options = std::unique_ptr<qonnx_options, Free>;
using Result = std::unique_ptr<qonnx_result, Free>;

void check(qonnx_status status, const qonnx_error &err)
{
    if (status != QONNX_OK) throw std::runtime_error(std::string(qonnx_status_name(status)) + ": " + err.message);
}

std::string compare(const char *first, const char *second, const char *samples)
{
    qonnx_error   err{};
    qonnx_result *result = nullptr;
    Options       options(qonnx_options_new());

    check(qonnx_options_set(options.get(), "calib", samples, &err), err);
    check(qonnx_compare(first, second, options.get(), nullptr, &result, &err), err);
    return qonnx_result_text(Result(result).get());
}

} // namespace

int main(int argc, char **argv)
{
    if (argc != 4) {
        std::fprintf(stderr, "usage: compare-models FLOAT.onnx QUANT.onnx SAMPLES\n");
        return 2;
    }
    try {
        std::fputs(compare(argv[1], argv[2], argv[3]).c_str(), stdout);
    } catch (const std::exception &error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
}
