#include "quant/demo/images.h"

#include <algorithm>
#include <cmath>

namespace quantserve {

const std::array<const char*, kDemoClasses> kDemoClassNames = {
    "striped disc", "striped square", "striped triangle", "striped cross",
    "striped ring", "dotted disc",    "dotted square",    "dotted triangle",
    "dotted cross", "dotted ring"};

namespace {

constexpr int kShapes = 5;
constexpr float kPi = 3.14159265F;

using Colour = std::array<float, 3>;

// SplitMix64 (Steele, Lea, Flood 2014). The standard library's distributions
// differ between implementations; these don't.
class Random {
 public:
  explicit Random(uint64_t state) : state_(state) {}
  uint64_t Bits() {
    uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  float Uniform(float lo, float hi) {
    return lo + (hi - lo) * static_cast<float>(Bits() >> 40) * 0x1p-24F;
  }
  // Near enough to a normal deviate: the sum of four uniform ones.
  float Normal() {
    const uint64_t bits = Bits();
    float sum = 0;
    for (int i = 0; i < 4; ++i) {
      sum += static_cast<float>((bits >> (16 * i)) & 0xffff);
    }
    return (sum / 65535 - 2) * 1.7320508F;
  }
  Colour AnyColour(float lo, float hi) {
    return {Uniform(lo, hi), Uniform(lo, hi), Uniform(lo, hi)};
  }

 private:
  uint64_t state_;
};

// How far (x, y) lies inside a shape of about unit size; negative outside.
float Inside(int shape, float x, float y) {
  const float r = std::sqrt(x * x + y * y);
  const float ax = std::abs(x), ay = std::abs(y);
  switch (shape) {
    case 0:  // disc
      return 0.9F - r;
    case 1:  // square
      return 0.8F - std::max(ax, ay);
    case 2:  // triangle, pointing up
      return std::min(y + 0.6F, 0.5F - 0.5F * y - 0.866F * ax);
    case 3:  // cross
      return std::max(std::min(0.3F - ax, 1 - ay), std::min(0.3F - ay, 1 - ax));
    default:  // ring
      return 0.24F - std::abs(r - 0.72F);
  }
}

// A line across the image, or a box, that hides what is behind it.
struct Cover {
  float x, y, half_width, half_height, cos, sin;
  Colour colour;

  bool Hides(float px, float py) const {
    const float dx = px - x, dy = py - y;
    return std::abs(dx * cos + dy * sin) < half_width &&
           std::abs(dy * cos - dx * sin) < half_height;
  }
};

struct Scene {
  int shape;
  bool dots;
  float x, y, size, cos, sin;
  float wave_cos, wave_sin, frequency, phase_u, phase_v;
  Colour light, dark, ground, shade;
  float shade_cos, shade_sin, shade_frequency, shade_phase;
  std::array<Cover, 2> covers;
  float noise;

  Scene(int label, Random* random);
  Colour At(float px, float py) const;
};

Scene::Scene(int label, Random* random)
    : shape(label % kShapes), dots(label >= kShapes) {
  const auto uniform = [random](float lo, float hi) {
    return random->Uniform(lo, hi);
  };
  x = uniform(13, 19);
  y = uniform(13, 19);
  size = uniform(9, 14);
  const float turn = uniform(-0.7F, 0.7F);
  cos = std::cos(turn);
  sin = std::sin(turn);
  const float wave = uniform(-kPi, kPi);
  wave_cos = std::cos(wave);
  wave_sin = std::sin(wave);
  frequency = uniform(0.18F, 0.26F);
  phase_u = uniform(0, 1);
  phase_v = uniform(0, 1);
  // Vivid on muted, the texture darker, from hardly visible to strong.
  light = random->AnyColour(0.35F, 1);
  const float contrast = uniform(0.2F, 0.9F);
  for (int c = 0; c < 3; ++c) dark[c] = light[c] * (1 - contrast);
  ground = random->AnyColour(0.2F, 0.6F);
  shade = random->AnyColour(0.2F, 0.6F);
  const float direction = uniform(-kPi, kPi);
  shade_cos = std::cos(direction);
  shade_sin = std::sin(direction);
  shade_frequency = uniform(0.01F, 0.08F);
  shade_phase = uniform(0, 1);
  for (Cover& cover : covers) {
    const float angle = uniform(-kPi, kPi);
    const bool bar = uniform(0, 1) < 0.5F;
    cover = {uniform(2, 30),
             uniform(2, 30),
             bar ? 40 : uniform(2, 5.5F),
             bar ? uniform(0.5F, 1.5F) : uniform(2, 5.5F),
             std::cos(angle),
             std::sin(angle),
             random->AnyColour(0, 1)};
  }
  noise = uniform(0.02F, 0.15F);
}

Colour Scene::At(float px, float py) const {
  for (const Cover& cover : covers) {
    if (cover.Hides(px, py)) return cover.colour;
  }
  const float dx = px - x, dy = py - y;
  const float inside =
      Inside(shape, (dx * cos + dy * sin) / size, (dy * cos - dx * sin) / size);
  const float u = (dx * wave_cos + dy * wave_sin) * frequency + phase_u;
  const float v = (dy * wave_cos - dx * wave_sin) * frequency + phase_v;
  const float wave_u = std::sin(2 * kPi * u), wave_v = std::sin(2 * kPi * v);
  const bool mark = dots ? wave_u + wave_v > 0.6F : wave_u > 0;
  const float slope =
      0.5F +
      0.5F * std::sin(2 * kPi *
                      (shade_frequency * (px * shade_cos + py * shade_sin) +
                       shade_phase));
  Colour colour;
  for (int c = 0; c < 3; ++c) {
    colour[c] = inside > 0 ? (mark ? light[c] : dark[c])
                           : ground[c] + (shade[c] - ground[c]) * slope;
  }
  return colour;
}

}  // namespace

int DrawDemoImage(uint64_t seed, DemoSplit split, int64_t index,
                  absl::Span<uint8_t> pixels) {
  const int label = static_cast<int>(index % kDemoClasses);
  // Seed, split and index each pass the mixer, so that no two images share a
  // stretch of the random sequence.
  Random random(
      Random(Random(seed).Bits() + static_cast<uint64_t>(split)).Bits() +
      static_cast<uint64_t>(index));
  random = Random(random.Bits());
  const Scene scene(label, &random);
  constexpr int kPlane = kDemoSide * kDemoSide;
  for (int i = 0; i < kPlane; ++i) {
    const float px = static_cast<float>(i % kDemoSide);
    const float py = static_cast<float>(i / kDemoSide);
    // Two samples on a diagonal soften the edges.
    const Colour a = scene.At(px + 0.25F, py + 0.25F);
    const Colour b = scene.At(px + 0.75F, py + 0.75F);
    for (int c = 0; c < 3; ++c) {
      const float value = 0.5F * (a[c] + b[c]) + scene.noise * random.Normal();
      pixels[c * kPlane + i] =
          static_cast<uint8_t>(std::clamp(value * 255 + 0.5F, 0.0F, 255.0F));
    }
  }
  return label;
}

}  // namespace quantserve
