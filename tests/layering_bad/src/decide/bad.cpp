#include "study/study.h"
