// What a model is asked, or begins with, to write texts of many kinds.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <format>
#include <string>
#include <string_view>

namespace apreqel {

inline constexpr std::size_t kSubjects = 8;

/// A kind of text and what it can be about, which stands in the place of {}.
struct TextKind {
    std::string_view question;  ///< for a model that answers
    std::string_view opening;   ///< for one that goes on
    std::array<std::string_view, kSubjects> subjects;
};

inline constexpr std::array kTextKinds = std::to_array<TextKind>({
    {"What is {}, and why does it matter?",
     "People often ask what {} is and why it matters. The short answer is that",
     {"photosynthesis", "inflation", "a glacier", "the immune system", "compound interest", "gravity", "a vaccine",
      "the water cycle"}},
    {"Write a short story about {}.",
     "This is the story of {}. One morning,",
     {"a lighthouse keeper who is afraid of the sea", "two sisters and a locked door", "a dog that walks home across a country",
      "an old clockmaker", "a train that stops at an unknown station", "a girl who finds a map in a library",
      "a farmer and a very late spring", "the last night of a small theatre"}},
    {"List five things to pack for {}.",
     "Five things to pack for {}:\n1.",
     {"a week in the mountains", "a day at the beach", "a night in a tent", "a business trip", "a picnic with children",
      "a long bicycle tour", "a stay in hospital", "a winter in the far north"}},
    {"Write a Python function that {}.",
     "# A function that {}.\ndef",
     {"reverses the words of a sentence", "finds the largest number in a list", "counts how often each letter occurs in a text",
      "tells whether a number is prime", "merges two sorted lists", "converts a temperature to Fahrenheit",
      "removes duplicates from a list", "adds up the digits of a number"}},
    {"Show how to read a file line by line in {}.",
     "Here is how to read a file line by line in {}:\n\n",
     {"C", "JavaScript", "Java", "Go", "C++", "Rust", "a shell script", "Ruby"}},
    {"Write a polite letter to {}.",
     "Dear Sir or Madam,\n\nI am writing to {}.",
     {"ask the city to mend a street lamp", "complain about a noisy heating", "thank a teacher for her help",
      "apply for work in a bookshop", "cancel a magazine", "invite a neighbour to a garden party",
      "ask for a refund for a broken kettle", "apologize for a late delivery"}},
    {"Write a conversation between {}.",
     "A conversation between {}:\n\n\"Good morning,\"",
     {"a baker and a customer who has no money", "a doctor and a patient who cannot sleep", "two friends planning a holiday",
      "a teacher and a pupil who is late", "a mechanic and the owner of an old car", "a grandfather and his granddaughter",
      "a librarian and a boy", "two strangers on a night train"}},
    {"Explain step by step how {} works.",
     "How {} works, step by step. First,",
     {"a refrigerator", "a bicycle gear", "a sailing boat", "a microwave oven", "a camera", "a steam engine", "a search engine",
      "a lock on a canal"}},
    {"{} Show how you find the answer.",
     "Problem: {}\nSolution:",
     {"A shop sells 24 apples at 15 cents each. How much does it earn?",
      "A train covers 180 km in 2 hours and a half. How fast is it?",
      "Three friends share 87 marbles equally. How many does each get?",
      "A garden is 12 m long and 7 m wide. What is its area?",
      "Anna is 9 and her brother is twice as old. How old will he be in 5 years?",
      "A book of 320 pages is read in 8 days. How many pages is that a day?",
      "A coat for 80 euros gets 15 percent cheaper. What does it cost now?",
      "Two pipes fill a tank in 6 and in 3 hours. How long do both take together?"}},
    {"Give me a simple recipe for {}.",
     "Recipe for {}\n\nIngredients:\n-",
     {"potato soup", "apple pie", "tomato sauce", "pancakes", "vegetable curry", "roast chicken", "bread without kneading",
      "a bean salad"}},
    {"Translate into French: {}",
     "English: {}\nFrench:",
     {"The children play in the garden behind the house.", "Where is the nearest railway station, please?",
      "It has been raining since yesterday evening.", "My brother would like to learn how to cook.",
      "We sold our old car to a neighbour last week.", "The museum is closed on Mondays.", "I forgot my umbrella on the bus.",
      "Could you tell me what time it is?"}},
    {"Write a few sentences about the weather in {}.",
     "A few sentences about the weather, in {}:\n\n",
     {"Spanish", "German", "Italian", "Portuguese", "Dutch", "French", "Polish", "Swedish"}},
    {"Tell me about the history of {}.",
     "The history of {}",
     {"the bicycle", "paper", "chess", "coffee", "the postage stamp", "glass", "the alphabet", "the umbrella"}},
    {"Describe {} as an encyclopedia would.",
     "{} is",
     {"The Danube", "Mount Etna", "Lake Victoria", "The Baltic Sea", "The Sahara", "The Rhine", "The island of Crete",
      "The Atacama Desert"}},
    {"Write a short news report: {}.",
     "{}. A spokesman said on Tuesday that",
     {"The old bridge will be closed for two years", "A small town opens its first tram line",
      "Storm leaves thousands without electricity", "Researchers find a new species of frog",
      "The local team wins the cup after forty years", "Prices of vegetables rise again",
      "A painting thought lost is found in an attic", "The factory will hire two hundred people"}},
    {"What is the difference between {}?",
     "The difference between {} is that",
     {"weather and climate", "a crocodile and an alligator", "a virus and a bacterium", "a novel and a novella",
      "mass and weight", "a lake and a pond", "jam and marmalade", "a comet and an asteroid"}},
    {"I want to {}. What should I do first?",
     "If you want to {}, the first thing to do is",
     {"learn to play the piano", "run ten kilometres", "grow tomatoes on a balcony", "sleep better", "save money every month",
      "paint a room", "speak in front of people", "start a small business"}},
    {"Write a short poem about {}.",
     "A short poem about {}:\n\n",
     {"the first snow", "an empty station", "the smell of bread", "a river at night", "my grandmother's hands",
      "the month of May", "a broken cup", "the sound of rain"}},
    {"Summarize in one sentence: {}",
     "{} In short,",
     {"The committee met three times. Each time a member was missing, and so nothing was decided before the summer.",
      "Bees visit flowers for nectar. Pollen sticks to their legs, and they carry it to the next flower.",
      "The first engine failed in the test. The second ran for an hour, but it used too much fuel.",
      "Her shop was empty in winter. When the tourists came back in spring, she had to hire two people.",
      "The valley was cut off by snow. Food was brought by helicopter until the road was open again.",
      "He bought the house for its garden. Ten years later the garden was gone, and the house was full of books.",
      "Glass bottles can be melted again and again. Paper gets weaker each time it is used.",
      "The city planted trees along the main street. On hot days it is now two degrees cooler there."}},
    {"Make a small CSV table of {}.",
     "A table of {} as CSV:\n\nname,",
     {"five planets and their moons", "four animals and their weight", "six cities and their population",
      "five metals and their melting points", "four books and their authors", "five fruits and their colours",
      "six rivers and their length", "five inventions and their years"}},
    {"Why {}?",
     "The reason why {} is that",
     {"the sky is blue", "bread rises", "leaves change their colour in autumn", "the sea is salty", "iron rusts", "we dream",
      "the moon has phases", "ice floats on water"}},
    {"Give arguments for and against {}.",
     "There are arguments for and against {}. On the one hand,",
     {"homework", "working from home", "free public transport", "zoos", "school uniforms", "nuclear energy", "cash",
      "a shorter working week"}},
    {"Write an e-mail to my team about {}.",
     "Subject: {}\n\nHi all,",
     {"the new office hours", "the results of the survey", "a server that was down", "next week's meeting",
      "a colleague who is leaving", "the plan for the summer party", "a change of supplier", "security training"}},
    {"How do I {}? Give numbered steps.",
     "How to {}:\n1.",
     {"change a bicycle tyre", "clean a coffee machine", "write a CV", "prepare for an exam", "remove a stain from a shirt",
      "set up a home network", "plant a tree", "iron a shirt"}},
});

/// What text `number` of those of a seed begins with: each kind in turn. Seeds that differ by 2 share no subject in four rounds.
struct TextOpening {
    std::string question;
    std::string opening;
};
[[nodiscard]] inline TextOpening text_opening(std::uint64_t seed, std::size_t number)
{
    const TextKind& kind = kTextKinds[number % kTextKinds.size()];
    const std::string_view subject = kind.subjects[(2 * seed + number / kTextKinds.size()) % kSubjects];
    return {std::vformat(kind.question, std::make_format_args(subject)),
            std::vformat(kind.opening, std::make_format_args(subject))};
}

}  // namespace apreqel
