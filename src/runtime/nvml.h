// What NVIDIA's management library (NVML) tells, where it is installed: it is part of the driver, and loaded at run time.
#pragma once

#include <vector>

namespace apreqel {

/// Millijoules that each GPU took since its driver was loaded (nvmlDeviceGetTotalEnergyConsumption; Volta and later); none where
/// there is no NVML, no GPU, or one that does not tell.
[[nodiscard]] std::vector<double> nvml_millijoules();

}  // namespace apreqel
