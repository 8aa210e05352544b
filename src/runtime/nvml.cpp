#include "runtime/nvml.h"

#include <dlfcn.h>

namespace apreqel {
namespace {

/// The functions of nvml.h (NVML API Reference) that are needed here; all return 0 for success.
class Nvml {
public:
    Nvml()
    {
        void* library = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);  // stays: its functions are used until the end
        if (library == nullptr) return;
        const auto init = function<int()>(library, "nvmlInit_v2");
        const auto count = function<int(unsigned*)>(library, "nvmlDeviceGetCount_v2");
        const auto device = function<int(unsigned, void**)>(library, "nvmlDeviceGetHandleByIndex_v2");
        energy_ = function<int(void*, unsigned long long*)>(library, "nvmlDeviceGetTotalEnergyConsumption");
        unsigned devices = 0;
        if (init == nullptr || count == nullptr || device == nullptr || energy_ == nullptr) return;
        if (init() != 0 || count(&devices) != 0) return;
        for (unsigned d = 0; d < devices; ++d) {
            void* handle = nullptr;  // NOLINT(misc-const-correctness): it is filled in
            if (device(d, &handle) == 0) handles_.push_back(handle);
        }
    }

    [[nodiscard]] std::vector<double> millijoules() const
    {
        if (energy_ == nullptr) return {};
        std::vector<double> all;
        for (void* handle : handles_) {
            unsigned long long energy = 0;
            if (energy_(handle, &energy) != 0) return {};
            all.push_back(static_cast<double>(energy));
        }
        return all;
    }

private:
    template <typename Signature>
    static Signature* function(void* library, const char* name)
    {
        return reinterpret_cast<Signature*>(dlsym(library, name));
    }

    int (*energy_)(void*, unsigned long long*) = nullptr;
    std::vector<void*> handles_;
};

}  // namespace

std::vector<double> nvml_millijoules()
{
    static const Nvml nvml;
    return nvml.millijoules();
}

}  // namespace apreqel
