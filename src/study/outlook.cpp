#include "study/study.h"

namespace apreqel {

Result<Profile> outlook(const Study& study) { return profile(study); }

}  // namespace apreqel
