#include "quant/base/sha256.h"

#include <openssl/evp.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace quantserve {
namespace {

// OpenSSL fails here only where it has no SHA-256 or no memory: no digest must
// come of that, nor an error that every caller would have to expect.
void Must(int ok) {
  if (ok != 1) std::abort();
}

}  // namespace

struct Sha256Hasher::Context {
  EVP_MD_CTX* evp = EVP_MD_CTX_new();
  ~Context() { EVP_MD_CTX_free(evp); }
};

Sha256Hasher::Sha256Hasher() : context_(std::make_unique<Context>()) {
  Must(EVP_DigestInit_ex(context_->evp, EVP_sha256(), nullptr));
}

Sha256Hasher::~Sha256Hasher() = default;

void Sha256Hasher::Add(absl::string_view bytes) {
  Must(EVP_DigestUpdate(context_->evp, bytes.data(), bytes.size()));
}

std::string Sha256Hasher::Finish() {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int length = 0;
  Must(EVP_DigestFinal_ex(context_->evp, digest, &length));
  return absl::BytesToHexString(
      absl::string_view(reinterpret_cast<char*>(digest), length));
}

std::string Sha256(absl::string_view bytes) {
  Sha256Hasher hasher;
  hasher.Add(bytes);
  return hasher.Finish();
}

absl::StatusOr<std::string> Sha256File(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return absl::NotFoundError(absl::StrCat("cannot open ", path));
  Sha256Hasher hasher;
  std::vector<char> buffer(1 << 20);
  while (in) {
    in.read(buffer.data(), static_cast<std::streamsize>(buffer.size()));
    hasher.Add({buffer.data(), static_cast<size_t>(in.gcount())});
  }
  if (in.bad()) return absl::DataLossError(absl::StrCat("cannot read ", path));
  return hasher.Finish();
}

bool IsSha256(absl::string_view text) {
  return text.size() == 64 && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

}  // namespace quantserve
